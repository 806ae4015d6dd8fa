"""What must hold for any input: every row is accounted for, and how it was split does not matter."""

import tempfile
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_shop import NOW, Shop, make_shop

# Each example lands real files: few of them, and no deadline on a busy machine.
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])

VERSIONED = """
SELECT ident('crm', id) AS member_id, name AS tier, local_to_utc(updated) AS updated_at,
    local_to_utc(updated) AS _known_at, _file, _row
FROM crm
"""

fields = st.text(st.sampled_from('ab1,"\n \t张é-'), max_size=6)
lines = st.one_of(
    st.lists(fields, min_size=1, max_size=5).map(",".join),
    st.tuples(
        st.sampled_from(["1", "2", "null", ""]), st.sampled_from(["gold", ""]),
        st.sampled_from(["2026-06-01", "2031-01-01", "1999-01-01", "x"]),
    ).map(",".join),
)  # fmt: skip
versions = st.lists(
    st.tuples(
        st.integers(1, 3), st.sampled_from(["gold", "silver"]),
        st.dates(date(2026, 6, 1), date(2026, 6, 4)),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


def versioned_shop(folder: Path) -> Shop:
    shop = make_shop(folder)
    shop.input("crm", format="csv", location="crm/*.csv")
    shop.mapping("members", VERSIONED)
    return shop


@few
@given(st.lists(lines, max_size=12))
def test_rows_in_are_accepted_duplicates_quarantined_or_suppressed(text: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shop = versioned_shop(Path(folder))
        shop.write("crm/a.csv", "\n".join(["id,name,updated", *text]) + "\n")
        said = shop.landed("members")
        out = said.accepted + said.duplicates + said.quarantined + said.suppressed
        assert said.rows_in == out == said.rows_read
        assert len(shop.rows("members")) == said.accepted


@few
@given(versions, st.data())
def test_any_split_and_order_of_files_gives_the_same_rows(
    rows: list[tuple[int, str, date]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    replayed = data.draw(st.lists(st.sampled_from(rows), max_size=3))
    parts = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    held = []
    for increments in ([rows], [*parts, replayed]):
        with tempfile.TemporaryDirectory() as folder:
            shop = versioned_shop(Path(folder))
            for number, increment in enumerate(increments):
                text = "".join(f"{key},{tier},{day}\n" for key, tier, day in increment)
                shop.write(f"crm/{number}.csv", f"id,name,updated\n{text}")
                shop.land("members", NOW + timedelta(hours=number))
            held.append(shop.rows("members", "member_id, tier, updated_at, _known_at"))
    assert held[0] == held[1]


@pytest.mark.parametrize("line", ["a,b", "a,b,c,d", '"a,b,c', '"a"b,c,d'])
def test_a_line_that_is_no_record_is_still_counted(tmp_path: Path, line: str) -> None:
    shop = versioned_shop(tmp_path)
    shop.write("crm/a.csv", f"id,name,updated\n{line}\n1,gold,2026-06-01\n")
    said = shop.landed("members")
    assert (said.rows_in, said.accepted, said.quarantined) == (2, 1, 1)
