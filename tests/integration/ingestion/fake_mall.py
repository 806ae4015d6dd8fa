"""A Youzan-like mall: what it answers, and what it keeps."""

from datetime import datetime, timedelta
from typing import Any

SECRET = "s3cr3t-of-the-mall"
SEALED_PHONE = "$pYn0xv4C9nXGHMV2eCBsXw==$1$"
TOKEN = "/auth/token"
TRADES = "/api/youzan.trades.sold.get/4.0.0"
NOON = datetime.fromisoformat("2026-06-10T12:00")  # NOW in Beijing


def trade(number: int, updated: datetime, phone: str = SEALED_PHONE) -> dict[str, Any]:
    return {
        "full_order_info": {
            "order_info": {
                "tid": f"E{number:03}", "status": "TRADE_SUCCESS", "shop_id": "W001",
                "created": "2026-06-01 08:00:00", "update_time": f"{updated:%F %T}",
            },
            "source_info": {"source": {"platform": "wx", "wx_entrance": "merchant_xcx"}},
            "pay_info": {"total_fee": "19.90", "post_fee": "0.00", "payment": "19.90",
                         "transaction": []},
            "buyer_info": {"yz_open_id": "yz1", "outer_user_id": "ox1", "buyer_phone": phone},
            "orders": [{"oid": "1", "outer_item_id": "A1", "num": 1, "price": "19.90",
                        "total_fee": "19.90", "payment": "19.90"}],
        }
    }  # fmt: skip


class FakeMall:
    """A shop's trades, newest change first; some change between two pages."""

    def __init__(self) -> None:
        self.tokens = 0
        self.updated = {number: NOON - timedelta(minutes=number) for number in range(1, 8)}
        self.says_total = True
        self.page_size = 2
        # The trade that changes right after each request; 0 for none.
        self.change: list[int] = []
        self.routes = {TOKEN: self.token, TRADES: self.trades}

    def token(self, _: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        if body["client_secret"] != SECRET:
            return {"gw_err_resp": {"err_code": 4001, "err_msg": f"bad {body['client_secret']}"}}
        self.tokens += 1
        return {"code": 200, "success": True, "data": {"access_token": f"token-{self.tokens}"}}

    def trades(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        if query["access_token"] != f"token-{self.tokens}":
            return {"gw_err_resp": {"err_code": 4203, "err_msg": "invalid token"}}
        found = sorted(
            (updated, number)
            for number, updated in self.updated.items()
            if body["start_update"] <= f"{updated:%F %T}" <= body["end_update"]
        )
        found.reverse()
        size = min(self.page_size, body["page_size"])
        page = found[(body["page_no"] - 1) * size : body["page_no"] * size]
        data: dict[str, Any] = {
            "full_order_info_list": [trade(number, updated) for updated, number in page]
        }
        if self.says_total:
            data["total_results"] = len(found)
        else:
            data["has_next"] = body["page_no"] * size < len(found)
        if self.change and (number := self.change.pop(0)):
            self.updated[number] = NOON + timedelta(minutes=1)
        return {"trace_id": "yz7", "code": 200, "success": True, "data": data, "message": "ok"}
