"""Taking people out of what landing keeps sealed: raw files, rejected rows, values set aside.

All of it is encrypted, and some of it is no table, so it is opened and looked through for whatever
stands for a person. A raw file is sealed anew without them, as large as it says, so that it still counts
as landed; where it cannot be taken apart, it is destroyed with its key, and its batch keeps the mapping
that it has.

What belongs here: sealed data. What does not: who is erased (``siyu.privacy``), or rows of the lake.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from siyu.ingestion.drift import ASIDE
from siyu.ingestion.drift import sealed_context as aside_context
from siyu.ingestion.quarantine import SCHEMA
from siyu.ingestion.raw import RawStore
from siyu.lake import active_files, commit, literal
from siyu.paths import Paths
from siyu.vault import Vault, unseal

# Whether a text names one of those who are erased.
Names = Callable[[str], bool]
# Of a batch, the file and record of each row.
Origins = Mapping[str, Collection[tuple[str, int]]]

_JSON_LINES: Final = (".jsonl", ".ndjson")
_GONE: Final = object()


def erase_from_quarantine(paths: Paths, names: Names) -> int:
    """Delete rejected rows that name somebody; says how many.

    Raises:
        VaultError: the wrapping key is not the one they were sealed under.
    """

    def is_theirs(row: Mapping[str, Any], key: bytes) -> bool:
        return any(map(names, _rejected_texts(row, key)))

    return _delete(paths.quarantine, SCHEMA, Vault.of(paths), is_theirs)


def rejected_of(paths: Paths, names: Names) -> list[dict[str, Any]]:
    """Rejected rows that name somebody, in clear: entity, source, file, row, rules and payload.

    Raises:
        VaultError: the wrapping key is not the one they were sealed under.
    """
    found = []
    for rows, key in _batches(paths.quarantine, SCHEMA, Vault.of(paths)):
        for row in rows.to_pylist():
            texts = _rejected_texts(row, key)
            if any(map(names, texts)):
                said = {name: row[name] for name in ("entity", "source", "file", "row", "rules")}
                found.append({**said, "payload": texts[0]})
    return found


def _rejected_texts(row: Mapping[str, Any], key: bytes) -> list[str]:
    """All that a rejected row says, the record first."""
    context = row["batch_id"].encode()
    texts = [unseal(key, row["sealed"], context).decode()]
    texts += [unseal(key, row["sealed_key"], context).decode()] if row["sealed_key"] else []
    return texts + [broken["value"] for broken in row["rules"] if broken["value"] is not None]


def erase_from_aside(paths: Paths, names: Names, origins: Mapping[str, Origins]) -> int:
    """Delete values of new columns that stood beside somebody's rows or name them; says how many.

    Args:
        paths: The retailer's places.
        names: Tells whether a text names them.
        origins: Where their rows in the lake came from, by entity and batch.

    Raises:
        VaultError: the wrapping key is not the one they were sealed under.
    """
    vault = Vault.of(paths)

    def is_theirs(row: Mapping[str, Any], key: bytes) -> bool:
        theirs = origins.get(row["entity"], {}).get(row["batch_id"], ())
        text = unseal(key, row["sealed"], aside_context(row["batch_id"])).decode()
        return (row["file"], row["row"]) in theirs or names(text)

    return _delete(paths.aside, ASIDE, vault, is_theirs)


def _delete(
    folder: Path,
    schema: pa.Schema,
    vault: Vault,
    is_theirs: Callable[[Mapping[str, Any], bytes], bool],
) -> int:
    """Write each batch of a sealed table anew that has a row to be deleted."""
    gone = 0
    for rows, key in _batches(folder, schema, vault):
        theirs = pa.array([is_theirs(row, key) for row in rows.to_pylist()], pa.bool_())
        if not theirs.true_count:
            continue
        gone += theirs.true_count
        place = {name: rows[name][0].as_py() for name in ("entity", "source", "batch_id")}
        commit(
            folder,
            rows.filter(pc.invert(theirs)).to_reader(),
            None,
            partition_by=("entity", "source"),
            replacing=" AND ".join(f"{name} = {literal(said)}" for name, said in place.items()),
        )
    return gone


def _batches(folder: Path, schema: pa.Schema, vault: Vault) -> Iterator[tuple[pa.Table, bytes]]:
    """Rows of a sealed table, batch by batch and input by input, with the key of each."""
    files = active_files(DeltaTable(str(folder))) if DeltaTable.is_deltatable(str(folder)) else []
    if not files:
        return
    rows = (
        f"SELECT {', '.join(schema.names)} FROM read_parquet($files, hive_partitioning = true, "
        "hive_types_autocast = false)"
    )
    with duckdb.connect() as connection:
        batches = connection.execute(
            f"SELECT DISTINCT entity, source, batch_id FROM ({rows}) ORDER BY ALL", {"files": files}
        ).fetchall()
        for entity, source, batch_id in batches:
            held = connection.execute(
                f"{rows} WHERE entity = $entity AND source = $source AND batch_id = $batch",
                {"files": files, "entity": entity, "source": source, "batch": batch_id},
            ).to_arrow_table()
            yield held.cast(schema), vault.batch_key(batch_id)


def erase_from_raw(
    paths: Paths, names: Names, files: Mapping[str, Collection[str]], request_id: str
) -> Mapping[str, int]:
    """Take somebody out of what was pulled.

    Args:
        paths: The retailer's places.
        names: Tells whether a text names them.
        files: By input, names of files that are known to hold them.
        request_id: Noted in a file that is sealed anew, which is then left alone.

    Returns:
        Records taken out, files sealed anew, files destroyed.

    Raises:
        VaultError: the wrapping key is not the one they were sealed under.
    """
    records = anew = destroyed = 0
    folders = sorted(paths.raw.iterdir()) if paths.raw.is_dir() else []
    for folder in folders:
        store = RawStore(paths, folder.name)
        for sealed in store.sealed():
            if request_id in store.erased_for(sealed):
                continue
            found = _pruned(store, sealed, names)
            if found is not None and found[0]:
                store.reseal(sealed, found[1], request_id)
                records, anew = records + found[0], anew + 1
            elif store.manifest_name(sealed) in files.get(folder.name, ()):
                store.destroy(sealed)
                destroyed += 1
    return {"records": records, "files_sealed_anew": anew, "files_destroyed": destroyed}


def _pruned(store: RawStore, sealed: Path, names: Names) -> tuple[int, bytes] | None:
    """How many records of a sealed file name somebody, and its bytes without; None if it is opaque."""
    kinds = sealed.name.removesuffix(".sealed")
    packed = kinds.endswith(".zst")
    kinds = kinds.removesuffix(".zst")
    with store.open(sealed) as opened:
        plain = opened.read()
    if packed:
        with pa.input_stream(pa.BufferReader(plain), compression="zstd") as stream:
            plain = stream.read()
    try:
        if kinds.endswith(_JSON_LINES):
            count, left = _without_json(plain, names)
        elif kinds.endswith(".parquet"):
            count, left = _without_rows(plain, names)
        elif kinds.endswith(".csv"):
            count, left = _without_lines(plain, names)
        else:
            return None
    except (UnicodeDecodeError, ValueError, pa.ArrowException):
        return None
    if packed and count:
        out = pa.BufferOutputStream()
        with pa.CompressedOutputStream(out, "zstd") as stream:
            stream.write(left)
        left = out.getvalue().to_pybytes()
    return count, left


def _without_json(plain: bytes, names: Names) -> tuple[int, bytes]:
    """Records without the smallest part of each that names somebody, or without all of it."""
    kept, changed = [], 0
    for line in plain.decode("utf-8").splitlines(keepends=True):
        before = json.loads(line) if line.strip() else None
        after = without_named(before, names)
        changed += after != before
        if after is not _GONE:
            kept.append(line if after == before else f"{json.dumps(after, ensure_ascii=False)}\n")
    return changed, "".join(kept).encode()


def without_named(value: Any, names: Names) -> Any:
    """A JSON value without the elements of lists in which a text names somebody.

    Returns:
        The value, or a marker where the text stands in no list.
    """
    if isinstance(value, list):
        parts = (without_named(part, names) for part in value)
        return [part for part in parts if part is not _GONE]
    if isinstance(value, dict):
        fields = {name: without_named(part, names) for name, part in value.items()}
        return _GONE if any(part is _GONE for part in fields.values()) else fields
    is_text = isinstance(value, str | int) and not isinstance(value, bool)
    return _GONE if is_text and names(str(value)) else value


def _without_rows(plain: bytes, names: Names) -> tuple[int, bytes]:
    table = pq.read_table(pa.BufferReader(plain))
    theirs = [any(map(names, _texts(row))) for row in table.to_pylist()]
    out = pa.BufferOutputStream()
    pq.write_table(table.filter(pa.array([not each for each in theirs])), out, compression="zstd")
    return sum(theirs), out.getvalue().to_pybytes()


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
    elif value is not None:
        yield str(value)


def _without_lines(plain: bytes, names: Names) -> tuple[int, bytes]:
    rows = list(csv.reader(io.StringIO(plain.decode("utf-8-sig"), newline="")))
    kept = [row for row in rows if not any(map(names, row))]
    out = io.StringIO(newline="")
    csv.writer(out).writerows(kept)
    return len(rows) - len(kept), out.getvalue().encode()
