"""Ways in which files go wrong on their way from a retailer's systems.

What belongs here: functions from a whole file to a spoilt one, each drawn from a seeded generator,
with how many records the spoilt file still holds where that is known. What does not: landing them
(``fuzz``).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

# What people, programs and attackers put where something else should be.
VALUES = (
    "", " ", "NULL", "null", "N/A", "-", "0000-00-00", "0000-00-00 00:00:00", "9999-99-99 99:99:99",
    "2026-02-30", "1899-12-30", "99999-01-01", "2026/6/1 8:00", "20260601", "1780500000",
    "9223372036854775808", "-9223372036854775809", "1e400", "-1", "-0.0", "NaN", "inf", "1,234.50",
    "１２３", "0x1F", "=cmd|'/C calc'!A0", "+1+1", "@SUM(A1)", "-2+3", "'; DROP TABLE members; --",
    "' OR '1'='1", "${jndi:ldap://x/a}", "{{7*7}}", "<script>alert(1)</script>", "../../etc/passwd",
    "%s%s%n", "\\N", "\\", "\"", "'", "a\x00b", "\ufeff", "\u202eabc", "😀" * 50, "店" * 5000,
    "true", "[]", "{}",
)  # fmt: skip
_LONG = 10_000_000


class Mutant(NamedTuple):
    """A spoilt file.

    Attributes:
        data: Its bytes.
        records: Records that a reader must account for; None where the spoiling leaves that open.
        suffix: What its name ends with after the format's own ending.
    """

    data: bytes
    records: int | None = None
    suffix: str = ""


class Whole(NamedTuple):
    """A file as it should be.

    Attributes:
        data: Its bytes.
        records: Records in it.
    """

    data: bytes
    records: int


Mutation = Callable[[Random, Whole], Mutant]


# --- bytes, whatever they mean ------------------------------------------------------------------


def _nothing(_: Random, __: Whole) -> Mutant:
    return Mutant(b"")


def _garbage(random: Random, _: Whole) -> Mutant:
    return Mutant(random.randbytes(random.randint(1, 20_000)))


def _garbage_inside(random: Random, whole: Whole) -> Mutant:
    at = random.randrange(len(whole.data))
    return Mutant(whole.data[:at] + random.randbytes(random.randint(1, 300)) + whole.data[at:])


def _cut(random: Random, whole: Whole) -> Mutant:
    return Mutant(whole.data[: random.randrange(len(whole.data))])


def _beheaded(random: Random, whole: Whole) -> Mutant:
    return Mutant(whole.data[random.randrange(len(whole.data)) :])


def _flipped(random: Random, whole: Whole) -> Mutant:
    data = bytearray(whole.data)
    for _ in range(random.randint(1, 20)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return Mutant(bytes(data))


def _zeroed(random: Random, whole: Whole) -> Mutant:
    """A disk that was not flushed before the power went."""
    at = random.randrange(len(whole.data))
    return Mutant(whole.data[:at] + bytes(len(whole.data) - at))


def _doubled(_: Random, whole: Whole) -> Mutant:
    return Mutant(whole.data * 2)


# --- packing ------------------------------------------------------------------------------------


def _packed(random: Random, whole: Whole) -> Mutant:
    return Mutant(*random.choice(_packings(whole)))


def _packings(whole: Whole) -> list[tuple[bytes, int, str]]:
    zst = bytes(pa.compress(whole.data, "zstd", asbytes=True))
    gz = gzip.compress(whole.data, mtime=0)
    # Without its suffix, or with one in capitals, it is packed all the same.
    return [
        (packed, whole.records, suffix)
        for packed, own in ((zst, ".zst"), (gz, ".gz"))
        for suffix in (own, own.upper(), "")
    ]


def _packed_and_cut(random: Random, whole: Whole) -> Mutant:
    data, _, suffix = random.choice(_packings(whole))
    return Mutant(data[: random.randrange(4, len(data))], None, suffix)


def _packed_and_flipped(random: Random, whole: Whole) -> Mutant:
    packed, _, suffix = random.choice(_packings(whole))
    data = bytearray(packed)
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return Mutant(bytes(data), None, suffix)


def _said_to_be_packed(random: Random, whole: Whole) -> Mutant:
    return Mutant(whole.data, whole.records, random.choice((".gz", ".zst")))


# --- texts --------------------------------------------------------------------------------------


def _encoded(random: Random, whole: Whole) -> Mutant:
    """In an encoding that is found out."""
    encoding = random.choice(("gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"))
    return Mutant(whole.data.decode().encode(encoding), whole.records)


def _miscoded(random: Random, whole: Whole) -> Mutant:
    """In an encoding that is not."""
    encoding = random.choice(("big5", "shift-jis", "latin-1", "utf-7", "cp037"))
    return Mutant(whole.data.decode().encode(encoding, "replace"))


def _twice_encoded(_: Random, whole: Whole) -> Mutant:
    return Mutant(whole.data.decode("latin-1").encode(), whole.records)


def _marked_inside(random: Random, whole: Whole) -> Mutant:
    """Two files with a mark each, one behind the other."""
    lines = whole.data.splitlines(keepends=True)
    lines.insert(random.randint(1, len(lines)), codecs.BOM_UTF8)
    return Mutant(b"".join(lines), None)


def _half_characters(random: Random, whole: Whole) -> Mutant:
    """Half an emoji, as UTF-8 must not have it."""
    return _inserted(random, whole, b"\xed\xa0\xbd")


def _nulls(random: Random, whole: Whole) -> Mutant:
    return _inserted(random, whole, b"\x00" * random.randint(1, 9))


def _inserted(random: Random, whole: Whole, what: bytes) -> Mutant:
    data = whole.data
    for _ in range(random.randint(1, 5)):
        at = random.randrange(len(data))
        data = data[:at] + what + data[at:]
    return Mutant(data)


def _line_ends(random: Random, whole: Whole) -> Mutant:
    lines = whole.data.decode().splitlines()
    return Mutant("".join(line + random.choice(("\n", "\r\n", "\r")) for line in lines).encode())


def _other_line_ends(random: Random, whole: Whole) -> Mutant:
    end = random.choice(("\r\n", "\r"))
    return Mutant(whole.data.decode().replace("\n", end).encode(), whole.records)


def _no_last_line_end(_: Random, whole: Whole) -> Mutant:
    return Mutant(whole.data.rstrip(b"\r\n"), whole.records)


def _blank_lines(random: Random, whole: Whole) -> Mutant:
    first, *lines = whole.data.splitlines(keepends=True)
    for _ in range(random.randint(1, 9)):
        lines.insert(random.randrange(len(lines) + 1), random.choice((b"\n", b"\n\n")))
    return Mutant(first + b"".join(lines), whole.records)


def _cut_lines(random: Random, whole: Whole) -> Mutant:
    first, *lines = whole.data.decode().splitlines()
    for _ in range(random.randint(1, 9)):
        at = random.randrange(len(lines))
        lines[at] = lines[at][: random.randrange(1, len(lines[at]) + 1) if lines[at] else 0]
    return Mutant("\n".join((first, *lines, "")).encode())


# --- CSV ----------------------------------------------------------------------------------------


def _rows(whole: Whole) -> list[list[str]]:
    return list(csv.reader(io.StringIO(whole.data.decode(), newline="")))


def _csv(rows: list[list[str]], records: int | None = None, **how: Any) -> Mutant:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n", **how).writerows(rows)
    return Mutant(out.getvalue().encode("utf-8", "surrogatepass"), records)


def _strange_values(random: Random, whole: Whole) -> Mutant:
    rows = _rows(whole)
    for _ in range(random.randint(1, 40)):
        row = random.choice(rows[1:])
        row[random.randrange(len(row))] = random.choice(VALUES)
    return _csv(rows, whole.records)


def _strange_column(random: Random, whole: Whole) -> Mutant:
    rows = _rows(whole)
    at = random.randrange(len(rows[0]))
    for row in rows[1:]:
        row[at] = random.choice(VALUES)
    return _csv(rows, whole.records)


def _long_field(random: Random, whole: Whole) -> Mutant:
    rows = _rows(whole)
    random.choice(rows[1:])[random.randrange(len(rows[0]))] = "长" * (_LONG // 3)
    return _csv(rows, whole.records)


def _shifted(random: Random, whole: Whole) -> Mutant:
    rows = _rows(whole)
    for _ in range(random.randint(1, 9)):
        row = random.choice(rows[1:])
        if random.random() < 0.5:
            row.insert(random.randrange(len(row)), "x")
        else:
            del row[random.randrange(len(row))]
    return _csv(rows, whole.records)


def _delimited(random: Random, whole: Whole) -> Mutant:
    return _csv(_rows(whole), None, delimiter=random.choice(";\t|^、"))


def _all_quoted(_: Random, whole: Whole) -> Mutant:
    return _csv(_rows(whole), whole.records, quoting=csv.QUOTE_ALL)


def _open_quotes(random: Random, whole: Whole) -> Mutant:
    first, *lines = whole.data.decode().splitlines()
    for _ in range(random.randint(1, 5)):
        at = random.randrange(len(lines))
        place = random.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:place] + '"' + lines[at][place:]
    return Mutant("\n".join((first, *lines, "")).encode())


def _headers(random: Random, whole: Whole) -> Mutant:
    rows = _rows(whole)
    header, at = rows[0], random.randrange(len(rows[0]))
    header[at] = random.choice(
        (header[at - 1], "", header[at].upper(), f" {header[at]} ", "列" * 9, '"', "a\x00", "_row",
         "'; DROP TABLE x; --", "x" * 70_000)
    )  # fmt: skip
    return _csv(rows)


def _header_again(random: Random, whole: Whole) -> Mutant:
    rows = _rows(whole)
    rows.insert(random.randrange(1, len(rows)), rows[0])
    return _csv(rows, whole.records + 1)


def _no_header(_: Random, whole: Whole) -> Mutant:
    return _csv(_rows(whole)[1:])


def _only_header(_: Random, whole: Whole) -> Mutant:
    return _csv(_rows(whole)[:1], 0)


def _columns_in_another_order(random: Random, whole: Whole) -> Mutant:
    rows = _rows(whole)
    order = random.sample(range(len(rows[0])), len(rows[0]))
    return _csv([[row[at] for at in order] for row in rows], whole.records)


def _column_gone(random: Random, whole: Whole) -> Mutant:
    rows = _rows(whole)
    at = random.randrange(len(rows[0]))
    return _csv([row[:at] + row[at + 1 :] for row in rows])


def _column_more(random: Random, whole: Whole) -> Mutant:
    rows = _rows(whole)
    more = [f"new{number}" for number in range(random.choice((1, 2, 3000)))]
    return _csv(
        [rows[0] + more, *([*row, *(["x"] * len(more))] for row in rows[1:])], whole.records
    )


# --- JSON ---------------------------------------------------------------------------------------


def _json_lines(whole: Whole) -> list[Any]:
    return [json.loads(line) for line in whole.data.decode().splitlines()]


def _said(lines: list[Any], records: int | None = None) -> Mutant:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return Mutant(text.encode("utf-8", "replace"), records)


def _replaced_somewhere(random: Random, value: Any, by: Any) -> Any:
    """The value with something in its depths replaced."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        name = random.choice(sorted(value))
        return {**value, name: _replaced_somewhere(random, value[name], by)}
    if isinstance(value, list) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        return [*value[:at], _replaced_somewhere(random, value[at], by), *value[at + 1 :]]
    return by


def _strange_json(random: Random, whole: Whole) -> Mutant:
    lines = _json_lines(whole)
    for _ in range(random.randint(1, 20)):
        at = random.randrange(len(lines))
        by: Any = random.choice(
            (*VALUES, None, True, -1, 2**63, 2**70, 1e308, float("nan"), float("-inf"), [], {},
             [[]], {"a": {"b": {}}}, "\ud83d", "\x00")
        )  # fmt: skip
        lines[at] = _replaced_somewhere(random, lines[at], by)
    return _said(lines, whole.records)


def _strange_text(random: Random, whole: Whole) -> Mutant:
    """Lines that are JSON in the eyes of some."""
    lines = whole.data.decode().splitlines()
    for _ in range(random.randint(1, 9)):
        at = random.randrange(len(lines))
        lines[at] = random.choice(
            (lines[at][:-1] + ",}", lines[at].replace('"', "'"), f"// {lines[at]}", "[" * 50_000,
             '{"a":' * 20_000, "{}", "null", "7", '"x"', lines[at] * 2, f"[{lines[at]}]",
             lines[at].replace('":', '":"\\ud800",', 1), '{"a": 1e999999}')
        )  # fmt: skip
    return Mutant("\n".join((*lines, "")).encode())


def _long_record(random: Random, whole: Whole) -> Mutant:
    lines = _json_lines(whole)
    at = random.randrange(len(lines))
    lines[at] = _replaced_somewhere(random, lines[at], "长" * (_LONG // 3))
    return _said(lines, whole.records)


def _strange_document(random: Random, whole: Whole) -> Mutant:
    document = json.loads(whole.data)
    for _ in range(random.randint(1, 9)):
        by: Any = random.choice((*VALUES, None, 2**63, float("nan"), [], {}, "\ud83d"))
        document = _replaced_somewhere(random, document, by)
    text = json.dumps(document, ensure_ascii=random.random() < 0.5, indent=random.choice((None, 1)))
    return Mutant(text.encode("utf-8", "replace"))


def _list_of_documents(random: Random, whole: Whole) -> Mutant:
    document = json.loads(whole.data)
    count = random.randint(1, 5)
    return Mutant(json.dumps([document] * count, ensure_ascii=False).encode(), count)


# --- Parquet ------------------------------------------------------------------------------------


def _table(whole: Whole) -> pa.Table:
    return pq.read_table(io.BytesIO(whole.data))


def _parquet(table: pa.Table, **how: Any) -> Mutant:
    out = io.BytesIO()
    pq.write_table(table, out, **how)
    return Mutant(out.getvalue(), table.num_rows)


def _cut_footer(random: Random, whole: Whole) -> Mutant:
    return Mutant(whole.data[: -random.randint(1, 400)])


def _other_types(random: Random, whole: Whole) -> Mutant:
    table = _table(whole)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(table.num_columns)
        said = [None if value is None else str(value) for value in table.column(at).to_pylist()]
        changed = random.choice((
            pa.array([random.choice(VALUES) for _ in said]), pa.array(said),
            pa.array([[value] for value in said]), pa.array([{"x": value} for value in said]),
            pa.array([float("nan")] * len(said)), pa.array([2**63] * len(said), pa.uint64()),
            pa.nulls(len(said)), pa.array([True] * len(said)), pa.array([-1] * len(said), pa.int8()),
            pa.array([b"\xff\xfe"] * len(said), pa.binary()),
        ))  # fmt: skip
        table = table.set_column(at, table.column_names[at], changed)
    return _parquet(table)


def _parquet_column_gone(random: Random, whole: Whole) -> Mutant:
    return _parquet(_table(whole).remove_column(random.randrange(_table(whole).num_columns)))


def _parquet_names(random: Random, whole: Whole) -> Mutant:
    table = _table(whole)
    names = list(table.column_names)
    at = random.randrange(len(names))
    names[at] = random.choice(
        (names[at].upper(), names[at - 1], "", "file_row_number", "_file", "_path", "新列")
    )
    return _parquet(table.rename_columns(names))


def _no_rows(_: Random, whole: Whole) -> Mutant:
    return _parquet(_table(whole).slice(0, 0))


def _other_form(random: Random, whole: Whole) -> Mutant:
    how = {
        "compression": random.choice(("none", "snappy", "gzip", "zstd", "lz4", "brotli")),
        "row_group_size": random.choice((1, 7, 1000)),
        "version": random.choice(("1.0", "2.6")),
        "use_dictionary": random.random() < 0.5,
    }
    return _parquet(_table(whole), **how)


_ANY: dict[str, Mutation] = {
    "nothing": _nothing, "garbage": _garbage, "garbage inside": _garbage_inside, "cut": _cut,
    "beheaded": _beheaded, "flipped bits": _flipped, "zeroed": _zeroed, "doubled": _doubled,
}  # fmt: skip
_TEXT: dict[str, Mutation] = {
    **_ANY, "packed": _packed, "packed and cut": _packed_and_cut,
    "packed and flipped": _packed_and_flipped, "said to be packed": _said_to_be_packed,
    "encoded": _encoded, "miscoded": _miscoded, "twice encoded": _twice_encoded,
    "marked inside": _marked_inside, "half characters": _half_characters, "nulls": _nulls,
}  # fmt: skip
_LINES: dict[str, Mutation] = {
    **_TEXT, "line ends": _line_ends, "other line ends": _other_line_ends,
    "no last line end": _no_last_line_end, "blank lines": _blank_lines, "cut lines": _cut_lines,
}  # fmt: skip

MUTATIONS: Mapping[str, Mapping[str, Mutation]] = {
    "csv": {
        **_LINES, "strange values": _strange_values, "strange column": _strange_column,
        "long field": _long_field, "shifted": _shifted, "delimited": _delimited,
        "all quoted": _all_quoted, "open quotes": _open_quotes, "headers": _headers,
        "header again": _header_again, "no header": _no_header, "only header": _only_header,
        "columns in another order": _columns_in_another_order, "column gone": _column_gone,
        "column more": _column_more,
    },
    "jsonl": {
        **_LINES, "strange json": _strange_json, "strange text": _strange_text,
        "long record": _long_record,
    },
    "json": {**_TEXT, "strange document": _strange_document, "list": _list_of_documents},
    "parquet": {
        **_ANY, "cut footer": _cut_footer, "other types": _other_types,
        "column gone": _parquet_column_gone, "names": _parquet_names, "no rows": _no_rows,
        "other form": _other_form,
    },
}  # fmt: skip
