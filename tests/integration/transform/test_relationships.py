"""WeCom relationships and group memberships, each period of them kept."""

from __future__ import annotations

import shutil
from pathlib import Path

from changing_shop import ADDED, AGAIN, DELETED, MAPPED
from tiny_lake import Shop, shop

from siyu.transform import run_dbt
from siyu.warehouse import Warehouse


def relations(changing: Shop, who: str, columns: str) -> list[tuple[object, ...]]:
    return [
        tuple(row.values())
        for row in changing.rows(
            f"SELECT {columns} FROM unified.fct_wecom_relationship "
            f"WHERE external_userid = 'wecom:{who}' ORDER BY added_at"
        )
    ]


def test_who_deletes_staff_and_adds_them_again_has_two_relationships(changing: Shop) -> None:
    found = relations(changing, "back", "period_no, added_at, deleted_at, deleted_by, is_active")

    assert found == [
        (1, ADDED, DELETED, "customer", False),
        (2, AGAIN, None, None, True),
    ]


def test_an_end_that_comes_alone_keeps_what_was_known_before(changing: Shop) -> None:
    found = relations(
        changing, "back", "add_way_en, add_way_zh, tags, has_remark_phone, deleted_date"
    )

    assert [str(value) for value in found[0]] == [
        "QR code", "扫描二维码", "t1,t2", "True", "2026-01-20",
    ]  # fmt: skip
    assert found[1][:4] == ("acquisition link", "获客链接", "t3", False)


def test_being_added_anew_ends_a_relationship_of_which_nobody_said_so(changing: Shop) -> None:
    found = relations(changing, "silent", "added_at, deleted_at, is_active")

    assert found == [(ADDED, AGAIN, False), (AGAIN, None, True)]


def test_a_beginning_that_was_corrected_is_one_relationship(changing: Shop) -> None:
    assert relations(changing, "corrected", "added_at, is_active") == [(ADDED, True)]


def test_a_handover_names_both_members_of_staff(changing: Shop) -> None:
    found = relations(
        changing, "moved",
        "staff_id, deleted_by, handed_over_to_staff_id, handed_over_from_staff_id, is_active",
    )  # fmt: skip

    assert found == [
        ("s1", "transfer", "s2", None, False),
        ("s2", None, None, "s1", True),
        ("s3", None, None, None, True),
    ]


def test_a_way_of_adding_that_nobody_knows_stays_a_code(changing: Shop) -> None:
    assert relations(changing, "strange", "add_way, add_way_en, add_way_zh") == [("999",) * 3]


def test_who_leaves_a_group_and_joins_again_has_two_memberships(changing: Shop) -> None:
    found = changing.rows(
        "SELECT period_no, userid, joined_at, left_at, join_scene, quit_scene, invited_by_staff_id, "
        "is_active FROM unified.fct_group_membership ORDER BY joined_at"
    )

    assert [tuple(row.values()) for row in found] == [
        (1, "wecom:back", ADDED, DELETED, "qr", "removed", None, False),
        (2, "wecom:back", AGAIN, None, "invite", None, "s1", True),
    ]


def test_the_staff_added_last_of_those_who_remain_looks_after_a_customer(changing: Shop) -> None:
    found = changing.rows(
        "SELECT r.external_userid AS who, c.owner_staff_id AS owner, c.wecom_staff_count AS staff, "
        "c.wecom_active_staff_count AS active, c.group_count AS in_groups, c.is_member "
        "FROM unified.dim_customer AS c JOIN unified.fct_wecom_relationship AS r USING (customer_id) "
        "GROUP BY ALL"
    )
    by_name = {row.pop("who"): tuple(row.values()) for row in found}

    assert by_name["wecom:back"] == ("s1", 1, 1, 1, True)
    assert by_name["wecom:moved"] == ("s3", 3, 2, 0, False)


def test_gates_stop_relationships_that_are_lost_or_overlap(changing: Shop, tmp_path: Path) -> None:
    copy = shop(tmp_path, MAPPED)
    copy.paths.warehouse.parent.mkdir(parents=True)
    shutil.copyfile(changing.paths.warehouse, copy.paths.warehouse)
    with Warehouse.of(copy.settings).connect(read_only=False) as connection:
        for sql in (
            "DELETE FROM unified.fct_wecom_relationship WHERE external_userid = 'wecom:strange'",
            "UPDATE unified.fct_wecom_relationship SET deleted_at = TIMESTAMP '2026-02-02' "
            "WHERE external_userid = 'wecom:back' AND period_no = 1",
            "UPDATE unified.fct_group_membership SET left_at = NULL WHERE period_no = 1",
            "UPDATE unified.fct_group_membership SET period_no = 1",
        ):
            connection.execute(sql)

    run = run_dbt(
        copy.settings,
        ["test", "--select", "fct_wecom_relationship", "fct_group_membership"],
        copy.variables(),
    )

    failed = {
        result.name: str(result.example_keys) for result in run.tests if result.status == "fail"
    }
    for test, key in {
        "keeps_every_relation_fct_wecom_relationship": "external_userid=wecom:strange",
        "ends_before_the_next_fct_wecom_relationship": "external_userid=wecom:back",
        "ends_before_the_next_fct_group_membership": "userid=wecom:back",
        "unique_key_fct_group_membership": "userid=wecom:back",
    }.items():
        assert any(name.startswith(test) and key in keys for name, keys in failed.items()), failed
