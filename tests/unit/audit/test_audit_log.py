"""The audit log: whatever is done to it shows, and an erasure breaks nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siyu.audit import AuditEntry, AuditError, AuditLog, Head, Opening, linked, verified

DAY = datetime(2026, 6, 30, tzinfo=UTC)
ANNA, BERT = "crm:1", "crm:2"


def filled(file: Path) -> AuditLog:
    """A log of each kind of entry; Anna is erased at the end."""
    log = AuditLog(file, "shop")
    log.append("consents", "batch-1", {"rows": 2}, DAY, parts=[(ANNA, "granted"), (BERT, "denied")])
    log.append("identity_rule", "rule-1", {"link": [ANNA, "wx:9"]}, DAY, subjects=[ANNA, "wx:9"])
    log.append("identity_rule", "rule-2", {"link": [BERT, "wx:8"]}, DAY, subjects=[BERT, "wx:8"])
    log.append("publication", "folder-1", {"tables": 40}, DAY)
    log.append("export", "request-1", {"of": BERT}, DAY, subjects=[BERT])
    log.append("erasure", "request-2", {"layers": ["lake"]}, DAY, forgets=[ANNA])
    return log


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that no test writes to: every commit waits for the disk."""
    return filled(tmp_path_factory.mktemp("audit") / "audit.sqlite3")._file


@pytest.fixture
def log(file: Path, tmp_path: Path) -> AuditLog:
    """A log of its own for a test."""
    shutil.copy(file, tmp_path)
    return AuditLog(tmp_path / file.name, "shop")


@pytest.fixture(scope="module")
def whole(file: Path) -> tuple[list[AuditEntry], list[Opening]]:
    """Entries and openings, for what is done to them in memory."""
    with sqlite3.connect(file) as connection:
        rows = connection.execute("SELECT sequence, position, salt, said FROM opening").fetchall()
    return AuditLog(file, "shop").entries(), [Opening(*row) for row in rows]


def head_of(entries: list[AuditEntry]) -> Head:
    last = entries[-1]
    return Head("shop", last.sequence, last.hash, last.recorded_at)


def renumbered(entries: list[AuditEntry]) -> list[AuditEntry]:
    return [replace(entry, sequence=number) for number, entry in enumerate(entries, start=1)]


def relinked(entries: list[AuditEntry], since: int) -> list[AuditEntry]:
    """The chain made anew from a place on, as somebody would who knows how it is made."""
    made = list(entries[:since])
    for entry in entries[since:]:
        made.append(linked(replace(entry, previous_hash=made[-1].hash) if made else entry))
    return made


def faults(file: Path, log: AuditLog, sql: str) -> list[tuple[int, str]]:
    with sqlite3.connect(file) as connection:
        connection.execute(sql)
    return [(finding.sequence, finding.fault) for finding in log.verify()]


def test_a_log_that_nobody_touched_is_whole(log: AuditLog) -> None:
    assert log.verify() == []
    assert log.verify(log.head()) == []
    assert AuditLog(Path(str(log._file) + ".none"), "shop").verify() == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE entry SET occurred_at = '2020' WHERE sequence = 3", [(3, "edited")]),
        ("DELETE FROM entry WHERE sequence = 4", [(4, "missing"), (4, "opening altered")]),
        ("UPDATE opening SET said = '{}' WHERE sequence = 4", [(4, "opening altered")]),
        ("UPDATE opening SET said = NULL WHERE sequence = 4", [(4, "opening altered")]),
        ("DELETE FROM opening WHERE sequence = 4", [(4, "opening missing")]),
        ("INSERT INTO opening VALUES (2, 0, x'00', '{}')", [(2, "opening kept")]),
    ],
)
def test_what_is_done_to_the_file_is_named_with_its_entry(
    log: AuditLog, sql: str, expected: list[tuple[int, str]]
) -> None:
    assert faults(log._file, log, sql) == expected


@given(
    place=st.integers(0, 5),
    field=st.sampled_from(sorted(AuditEntry.__annotations__.keys() - {"sequence"})),
)
def test_any_edit_is_found(
    whole: tuple[list[AuditEntry], list[Opening]], place: int, field: str
) -> None:
    entries, openings = whole
    old = getattr(entries[place], field)
    new = old + (b"\0" * 32 if isinstance(old, bytes) else "0")
    tampered = [*entries[:place], replace(entries[place], **{field: new}), *entries[place + 1 :]]
    found = verified("shop", tampered, openings)
    assert found
    assert found[0].sequence <= place + 1


@given(places=st.sets(st.integers(0, 5), min_size=1), renumber=st.booleans())
def test_any_deletion_is_found(
    whole: tuple[list[AuditEntry], list[Opening]], places: set[int], renumber: bool
) -> None:
    entries, _ = whole
    left = [entry for number, entry in enumerate(entries) if number not in places]
    left = renumbered(left) if renumber else left
    kept = {entry.sequence for entry in left}
    # Even by somebody who takes the openings out as well.
    openings = [opening for opening in whole[1] if opening.sequence in kept]
    assert verified("shop", left, openings, head_of(entries))


@given(order=st.permutations(range(6)))
def test_any_other_order_is_found(
    whole: tuple[list[AuditEntry], list[Opening]], order: list[int]
) -> None:
    entries, _ = whole
    moved = renumbered([entries[number] for number in order])
    found = verified("shop", moved, [], head_of(entries))
    chain = [finding for finding in found if not finding.fault.startswith("opening")]
    assert bool(chain) == (order != sorted(order))
    if chain:
        first = next(n for n, place in enumerate(order, start=1) if place != n - 1)
        assert (chain[0].sequence, chain[0].fault) == (first, "reordered")


@given(taken=st.integers(0, 5), put=st.integers(0, 6))
def test_any_copy_is_found(
    whole: tuple[list[AuditEntry], list[Opening]], taken: int, put: int
) -> None:
    entries, _ = whole
    copied = renumbered([*entries[:put], entries[taken], *entries[put:]])
    faults = {finding.fault for finding in verified("shop", copied, [])}
    assert "repeated" in faults


@given(length=st.integers(0, 5))
def test_a_log_that_was_cut_off_is_told_by_a_head_and_only_by_one(
    whole: tuple[list[AuditEntry], list[Opening]], length: int
) -> None:
    entries, openings = whole
    left = entries[:length]
    kept = [opening for opening in openings if opening.sequence <= length]
    # What an erasure destroyed is missed where the erasure is cut off too.
    assert {finding.fault for finding in verified("shop", left, kept)} <= {"opening missing"}
    found = verified("shop", left, kept, head_of(entries))[-1]
    assert (found.sequence, found.fault) == (length + 1, "truncated")


@given(place=st.integers(0, 5))
def test_a_log_that_was_made_anew_from_an_edit_on_is_told_by_a_head(
    whole: tuple[list[AuditEntry], list[Opening]], place: int
) -> None:
    entries, openings = whole
    forged = [*entries]
    forged[place] = replace(entries[place], occurred_at="2020-01-01T00:00:00.000+00:00")
    forged = relinked(forged, place)
    assert verified("shop", forged, openings) == []
    (found,) = verified("shop", forged, openings, head_of(entries))
    assert (found.sequence, found.fault) == (6, "rewritten")


def test_a_log_goes_on_after_a_head(log: AuditLog) -> None:
    head = log.head()
    log.append("publication", "folder-2", {}, DAY)
    assert log.verify(head) == []


def test_an_erasure_leaves_nothing_that_opens_what_was_said_and_breaks_nothing(
    log: AuditLog,
) -> None:
    consents, link, other, *_ = log.entries()
    assert log.verify() == []
    assert set(log.parts(consents)) == {BERT}
    assert log.payload(link) is None
    assert log.payload(other) == {"link": [BERT, "wx:8"]}
    held = log._file.read_bytes()
    assert ANNA.encode() not in held
    assert b"wx:9" not in held


def test_a_part_opens_to_its_words_and_to_no_others(log: AuditLog) -> None:
    part = log.parts(log.entries()[0])[BERT]
    assert part.opens_to("denied")
    assert not part.opens_to("granted")


def test_the_same_words_make_other_commitments_every_time(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.sqlite3", "shop")
    one, two = (log.append("export", name, {"of": ANNA}, DAY) for name in ("a", "b"))
    assert one.commitments != two.commitments


def test_what_is_appended_again_is_there_once(log: AuditLog) -> None:
    before = log.entries()
    again = log.append("publication", "folder-1", {"tables": 41}, DAY)
    assert again == before[3]
    assert log.entries() == before


@pytest.mark.parametrize("table", ["INTO opening", "INTO subject"])
def test_an_entry_is_whole_or_absent(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    before = log.entries()

    class Killed(BaseException):
        pass

    class Dying(sqlite3.Connection):
        def executemany(self, sql: str, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
            if table in sql:
                raise Killed
            return super().executemany(sql, *arguments)  # type: ignore[arg-type]

    opened: Callable[..., sqlite3.Connection] = sqlite3.connect
    with monkeypatch.context() as patched:
        patched.setattr(
            "siyu.audit.sqlite3.connect",
            lambda *given, **named: opened(*given, **named, factory=Dying),
        )
        with pytest.raises(Killed):
            log.append("erasure", "request-3", {}, DAY, forgets=[BERT])
    assert log.entries() == before
    assert log.payload(before[2]) is not None
    assert log.verify() == []


def test_two_writers_make_one_chain(tmp_path: Path) -> None:
    file = tmp_path / "audit.sqlite3"

    def write(name: str) -> None:
        for number in range(5):
            AuditLog(file, "shop").append("export", f"{name}-{number}", {}, DAY)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))
    log = AuditLog(file, "shop")
    assert len(log.entries()) == 10
    assert log.verify() == []


def test_a_head_is_of_one_retailer(log: AuditLog, tmp_path: Path) -> None:
    file = tmp_path / "head.json"
    file.write_text(log.head().to_json())
    assert Head.read(file) == log.head()
    with pytest.raises(AuditError, match="of shop, not of other"):
        AuditLog(log._file, "other").verify(Head.read(file))
    assert AuditLog(log._file, "other").verify()[0].fault == "unlinked"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sequence": "x"}'])
def test_what_is_no_head_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "head.json"
    file.write_text(content)
    with pytest.raises(AuditError, match="siyu audit head"):
        Head.read(file)


def test_only_its_owner_may_read_the_log(log: AuditLog) -> None:
    assert log._file.stat().st_mode & 0o077 == 0
