"""WeCom's answers for a corporation with a few members of staff."""

from datetime import timedelta
from typing import Any

from http_pulling import NOW

SECRET = "s3cr3t-of-the-app"
PHONE = "13800000001"
CONTACTS = "/cgi-bin/externalcontact/batch/get_by_user"
TOKEN = "/cgi-bin/gettoken"
DAY = timedelta(days=1)


def contact(
    name: str, created: int = 1_780_500_000, staff: str = "anna", **follow: Any
) -> dict[str, Any]:
    return {
        "external_contact": {
            "external_userid": f"wm{name}", "name": "李四", "type": 1, "gender": 1,
            "unionid": f"oz{name}", "position": "Mangaer",
        },
        "follow_info": {
            "userid": staff, "remark": "李部长", "description": "", "createtime": created,
            "tag_id": ["etAJ2GCAAAXtWyujaWJHDDGi0mACHAAA"], "remark_mobiles": [PHONE],
            "oper_userid": "rocky", "add_way": 1, **follow,
        },
    }  # fmt: skip


class FakeWecom:
    """What a corporation has."""

    def __init__(self) -> None:
        self.tokens = 0
        self.contacts: dict[str, list[dict[str, Any]]] = {
            "anna": [contact("a1"), contact("a2"), contact("a3")],
            "boris": [contact("b1"), contact("b2")],
            "carol": [],
        }
        self.page = 2
        self.chats: dict[str, dict[str, Any]] = {
            chat_id: {
                "chat_id": chat_id, "name": "销售客服群", "owner": "anna",
                "create_time": 1_572_505_490, "notice": "文明沟通，拒绝脏话",
                "member_list": [
                    {"userid": "anna", "type": 1, "join_time": 1_572_505_491, "join_scene": 1},
                    {"userid": "wma1", "type": 2, "unionid": "oza1", "join_time": 1_572_505_491,
                     "join_scene": 3},
                ],
            }
            for chat_id in ("wr1", "wr2")
        }  # fmt: skip
        self.sends = [
            {"msgid": f"msg{number}", "creator": "anna", "create_type": 0,
             "create_time": int((NOW - number * DAY).timestamp()), "text": {"content": "上新"}}
            for number in (1, 2)
        ]  # fmt: skip
        self.routes = {
            TOKEN: self.token,
            "/cgi-bin/externalcontact/get_follow_user_list": lambda *_: {
                "errcode": 0, "follow_user": sorted(self.contacts, reverse=True),
            },
            CONTACTS: self.batch,
            "/cgi-bin/externalcontact/get_corp_tag_list": lambda *_: {
                "errcode": 0,
                "tag_group": [{"group_id": "et1", "group_name": "开发1组",
                               "tag": [{"id": "et11", "name": "大鸟", "order": 0}]}],
            },
            "/cgi-bin/externalcontact/groupchat/list": lambda *_: {
                "errcode": 0,
                "group_chat_list": [{"chat_id": chat, "status": 0} for chat in self.chats],
                "next_cursor": "",
            },
            "/cgi-bin/externalcontact/groupchat/get": lambda _, body: {
                "errcode": 0, "group_chat": self.chats[body["chat_id"]],
            },
            "/cgi-bin/externalcontact/get_user_behavior_data": self.statistics,
            "/cgi-bin/externalcontact/get_groupmsg_list_v2": lambda _, body: {
                "errcode": 0,
                "group_msg_list": [
                    send for send in self.sends if body["chat_type"] == "single"
                    and body["start_time"] <= send["create_time"] <= body["end_time"]
                ],
            },
            "/cgi-bin/externalcontact/get_groupmsg_task": lambda *_: {
                "errcode": 0, "task_list": [{"userid": "anna", "status": 2, "send_time": 1},
                                            {"userid": "boris", "status": 0}],
            },
            "/cgi-bin/externalcontact/get_groupmsg_send_result": self.results,
        }  # fmt: skip

    def token(self, query: dict[str, str], _: dict[str, Any]) -> dict[str, Any]:
        if query["corpsecret"] != SECRET:
            return {"errcode": 40001, "errmsg": f"invalid credential {query['corpsecret']}"}
        self.tokens += 1
        return {"errcode": 0, "access_token": f"token-{self.tokens}", "expires_in": 7200}

    def batch(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        if query["access_token"] != f"token-{self.tokens}":
            return {"errcode": 40014, "errmsg": "invalid access_token"}
        (staff,) = body["userid_list"]
        if staff not in self.contacts or not self.contacts[staff]:
            return {"errcode": 84061, "errmsg": f"not external contact of {staff}"}
        start = int(body["cursor"] or 0)
        end = start + self.page
        following = str(end) if end < len(self.contacts[staff]) else ""
        found = self.contacts[staff][start:end]
        return {"errcode": 0, "external_contact_list": found, "next_cursor": following}

    def statistics(self, _: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        days = range(body["start_time"], body["end_time"] + 1, 86_400)
        return {
            "errcode": 0,
            "behavior_data": [
                {"stat_time": day, "chat_cnt": 100, "reply_percentage": 60.25} for day in days
            ],
        }

    def results(self, _: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        page = int(body["cursor"] or 0)
        sent = {"external_userid": f"wm{page}", "userid": body["userid"], "status": page + 8}
        return {
            "errcode": 0, "send_list": [sent], "next_cursor": "1" if page == 0 else "",
        }  # fmt: skip
