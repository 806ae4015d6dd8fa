"""Consent events and publications are in the audit log, and what is done to them there shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from made_up_shop import NOW, Shop

from siyu.audit import AuditLog
from siyu.evidence import record_consents, verify_evidence
from siyu.ingestion import restore_batch, retract_batch
from siyu.lake import commit
from siyu.serving import publish
from siyu.warehouse import Warehouse

CONSENTS = """
SELECT
    id AS consent_id, ident('crm', member) AS identifier, purpose, channel, status,
    local_to_utc(said) AS effective_at, _file, _row
FROM forms
"""
FIRST = ("c1,7,marketing,sms,granted,2026-06-01", "c2,7,marketing,sms,withdrawn,2026-06-02",
         "c3,8,marketing,sms,denied,2026-06-01")  # fmt: skip
LATER = NOW + timedelta(days=1)


@pytest.fixture
def consents(shop: Shop) -> Shop:
    """A shop in which three consent events of two people have landed."""
    shop.input("forms", format="csv", location="forms/*.csv")
    shop.mapping("consents", CONSENTS)
    _write(shop, "a", *FIRST)
    shop.landed("consents")
    record_consents(shop.paths)
    return shop


def _write(shop: Shop, name: str, *lines: str) -> None:
    content = "\n".join(("id,member,purpose,channel,status,said", *lines)) + "\n"
    shop.write(f"forms/{name}.csv", content)


def _found(shop: Shop) -> list[str]:
    log = AuditLog.of(shop.paths)
    return [str(finding) for finding in [*log.verify(), *verify_evidence(shop.paths)]]


def _table(shop: Shop) -> DeltaTable:
    return DeltaTable(str(shop.lake.folder("consents")))


def test_every_batch_has_one_entry(consents: Shop) -> None:
    assert record_consents(consents.paths) == 0
    _write(consents, "b", "c4,9,marketing,sms,granted,2026-06-30")
    batch = consents.landed("consents", LATER)
    assert record_consents(consents.paths) == 1
    log = AuditLog.of(consents.paths)
    first, second = log.entries()
    assert set(log.parts(first)) == {"crm:7", "crm:8"}
    assert set(log.parts(second)) == {"crm:9"}
    payload = log.payload(second)
    assert payload is not None
    assert (payload["batch_id"], payload["accepted"]) == (batch.batch_id, 1)
    assert _found(consents) == []


def _edit(shop: Shop) -> None:
    _table(shop).update({"status": "'granted'"}, predicate="consent_id = 'c3'")


def _delete(shop: Shop) -> None:
    _table(shop).delete("identifier = 'crm:8'")


def _delete_one_of_two(shop: Shop) -> None:
    _table(shop).delete("consent_id = 'c2'")


def _add(shop: Shop) -> None:
    rows = _table(shop).to_pyarrow_table()
    one = rows.slice(0, 1).set_column(
        rows.column_names.index("identifier"), "identifier", pa.array(["crm:9"])
    )
    commit(shop.lake.folder("consents"), one.to_reader(), None)


def _add_batch(shop: Shop) -> None:
    rows = _table(shop).to_pyarrow_table()
    other = rows.set_column(
        rows.column_names.index("_batch_id"), "_batch_id", pa.array(["forged"] * rows.num_rows)
    )
    commit(shop.lake.folder("consents"), other.to_reader(), None)


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (_edit, "entry 1: evidence altered: .* not as landed: c3"),
        (_delete, "entry 1: evidence missing: .* those of 1 identifiers are gone"),
        (_delete_one_of_two, "entry 1: evidence altered: .* not as landed: c1"),
        (_add, "entry 1: evidence altered: .* not there when it landed.*: c1"),
        (_add_batch, "entry 0: evidence altered: .* batch forged that no landing brought"),
    ],
)
def test_what_is_done_to_consents_in_the_lake_is_told(
    consents: Shop, tamper: Callable[[Shop], None], told: str
) -> None:
    tamper(consents)
    record_consents(consents.paths)
    (found,) = _found(consents)
    assert re.search(told, found), found


def test_an_erased_person_is_missed_by_nobody(consents: Shop) -> None:
    _delete(consents)
    log = AuditLog.of(consents.paths)
    log.append("erasure", "request-1", {}, NOW, forgets=["crm:8"])
    assert _found(consents) == []
    assert record_consents(consents.paths) == 0


def test_compaction_alters_nothing(consents: Shop) -> None:
    _write(consents, "b", "c4,9,marketing,sms,granted,2026-06-30")
    consents.landed("consents", LATER)
    record_consents(consents.paths)
    _table(consents).optimize.compact()
    assert _found(consents) == []


def test_a_retracted_batch_is_not_missed_and_may_land_again(consents: Shop) -> None:
    (batch,) = consents.lake.manifests("consents")
    retract_batch(consents.settings, batch.batch_id, NOW)
    assert _found(consents) != []
    record_consents(consents.paths)
    assert _found(consents) == []
    restore_batch(consents.settings, batch.batch_id, NOW)
    consents.landed("consents", LATER)
    assert record_consents(consents.paths) == 2
    assert _found(consents) == []
    _edit(consents)
    assert _found(consents) != []


def test_a_batch_that_landed_when_the_log_was_not_kept_yet_gets_its_entry(consents: Shop) -> None:
    consents.paths.audit.unlink()
    assert record_consents(consents.paths) == 1
    assert _found(consents) == []


def _published(shop: Shop) -> Path:
    warehouse = Warehouse(shop.paths)
    warehouse.replace("marts.kpi", pa.table({"orders": [7]}))
    made = publish(shop.paths, warehouse, ["marts.kpi"], {}, {}, "run", date(2026, 6, 30))
    return made.folder


def test_a_publication_has_its_entry_and_a_change_of_a_file_shows(shop: Shop) -> None:
    folder = _published(shop)
    (entry,) = AuditLog.of(shop.paths).entries()
    assert (entry.kind, entry.reference) == ("publication", folder.name)
    assert _found(shop) == []
    file = folder / "parquet" / "marts" / "kpi.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    assert _found(shop) == [f"entry 1: evidence altered: {file} is not what was published"]
    file.unlink()
    assert _found(shop) == [f"entry 1: evidence missing: {file} is gone"]


def test_a_publication_that_is_no_longer_kept_is_no_finding(shop: Shop) -> None:
    folder = _published(shop)
    _published(shop)
    folder.rename(shop.folder / "elsewhere")
    assert _found(shop) == []
