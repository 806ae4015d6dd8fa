"""Row rules: what a mapped row must meet to be accepted, as SQL made from its contract.

Every rule that a row breaks is kept, with the column and, unless the column holds a direct
identifier, the value. What belongs here: rules that a single row can break. What does not: rules
across rows (uniqueness, references, sums), which dbt tests after landing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from siyu.contracts import Column, Contract
from siyu.ingestion.scrub import scrubbed
from siyu.lake import identifier, literal
from siyu.retailer import Retailer

MALFORMED_RECORD = "malformed_record"

# What a mapping may yield besides the contract's columns: when a row could be known.
KNOWN_AT = "_known_at"
# So much later than it landed a row may be dated.
AHEAD = timedelta(minutes=15)

_VALUE_LENGTH = 80
# A value is masked before it is cut to that length, but need not be masked to its end. What stands at
# the first cut may be half of a phone or an e-mail, which no pattern knows: it is left out.
_LOOKED_AT = 1_024
_LONGEST_TOKEN = 320  # an e-mail of 64 characters, @ and 255

# ISO 4217, the active codes.
_CURRENCIES = [
    "AED",
    "AFN",
    "ALL",
    "AMD",
    "ANG",
    "AOA",
    "ARS",
    "AUD",
    "AWG",
    "AZN",
    "BAM",
    "BBD",
    "BDT",
    "BGN",
    "BHD",
    "BIF",
    "BMD",
    "BND",
    "BOB",
    "BRL",
    "BSD",
    "BTN",
    "BWP",
    "BYN",
    "BZD",
    "CAD",
    "CDF",
    "CHF",
    "CLP",
    "CNY",
    "COP",
    "CRC",
    "CUP",
    "CVE",
    "CZK",
    "DJF",
    "DKK",
    "DOP",
    "DZD",
    "EGP",
    "ERN",
    "ETB",
    "EUR",
    "FJD",
    "FKP",
    "GBP",
    "GEL",
    "GHS",
    "GIP",
    "GMD",
    "GNF",
    "GTQ",
    "GYD",
    "HKD",
    "HNL",
    "HTG",
    "HUF",
    "IDR",
    "ILS",
    "INR",
    "IQD",
    "IRR",
    "ISK",
    "JMD",
    "JOD",
    "JPY",
    "KES",
    "KGS",
    "KHR",
    "KMF",
    "KPW",
    "KRW",
    "KWD",
    "KYD",
    "KZT",
    "LAK",
    "LBP",
    "LKR",
    "LRD",
    "LSL",
    "LYD",
    "MAD",
    "MDL",
    "MGA",
    "MKD",
    "MMK",
    "MNT",
    "MOP",
    "MRU",
    "MUR",
    "MVR",
    "MWK",
    "MXN",
    "MYR",
    "MZN",
    "NAD",
    "NGN",
    "NIO",
    "NOK",
    "NPR",
    "NZD",
    "OMR",
    "PAB",
    "PEN",
    "PGK",
    "PHP",
    "PKR",
    "PLN",
    "PYG",
    "QAR",
    "RON",
    "RSD",
    "RUB",
    "RWF",
    "SAR",
    "SBD",
    "SCR",
    "SDG",
    "SEK",
    "SGD",
    "SHP",
    "SLE",
    "SOS",
    "SRD",
    "SSP",
    "STN",
    "SVC",
    "SYP",
    "SZL",
    "THB",
    "TJS",
    "TMT",
    "TND",
    "TOP",
    "TRY",
    "TTD",
    "TWD",
    "TZS",
    "UAH",
    "UGX",
    "USD",
    "UYU",
    "UZS",
    "VED",
    "VES",
    "VND",
    "VUV",
    "WST",
    "XAF",
    "XCD",
    "XCG",
    "XOF",
    "XPF",
    "YER",
    "ZAR",
    "ZMW",
    "ZWG",
]


@dataclass(frozen=True)
class Rule:
    """One rule on one column.

    Attributes:
        rule: Its id.
        column: Column of the contract.
        broken: SQL over a typed row that is true when the rule is broken. ``raw_<column>`` is the
            value as the mapping gives it, where its type differs from the contract's.
        value: SQL of the offending value as text, NULL where it must not be kept.
    """

    rule: str
    column: str
    broken: str
    value: str


def cast(column: Column, mapped_type: str) -> str:
    """SQL that gives a mapped column its contract's type; NULL where it does not fit."""
    name = identifier(column.name)
    if mapped_type == column.sql_type:
        # Codes are compared and joined on, so blanks around them must not count.
        coded = column.type in ("identifier", "currency") or column.values
        return f"nullif({_trimmed(name)}, '')" if coded else name
    if column.sql_type == "BOOLEAN":
        return f"TRY_CAST(lower(trim(CAST({name} AS VARCHAR))) AS BOOLEAN)"
    if mapped_type == "VARCHAR":
        # A blank in a text file is an absent value, not a wrong one; it casts to NULL as well.
        return f"TRY_CAST({_trimmed(name)} AS {column.sql_type})"
    return f"TRY_CAST({name} AS {column.sql_type})"


def given(column: Column, mapped_type: str) -> str:
    """SQL of a column's value as the mapping gives it, beside its typed form."""
    name = identifier(column.name)
    return name if cast(column, mapped_type) == name else identifier(f"raw_{column.name}")


def row_rules(
    entity: Contract, retailer: Retailer, mapped: Mapping[str, str], now: datetime
) -> tuple[Rule, ...]:
    """Every rule that a row of this entity must meet.

    Args:
        entity: The contract.
        retailer: Knows namespaces and the first day of history.
        mapped: Columns of the mapping with their types.
        now: No event, version or knowledge may be later by more than ``AHEAD``.
    """
    rules = [
        rule
        for column in entity.columns
        if column.name in mapped
        for rule in _column_rules(column, mapped[column.name], retailer)
    ]
    # A clock that runs ahead dates a row a little later than it lands.
    latest = _timestamp(now + AHEAD)
    if entity.event_time is not None and entity.event_time in mapped:
        rules += _event_rules(entity.column(entity.event_time), retailer, latest)
    rules += [
        _future(entity.column(name), latest)
        for name in (entity.version, "recorded_at")
        if name is not None and name in mapped
    ]
    if KNOWN_AT in mapped:
        rules += _known_rules(mapped[KNOWN_AT], latest)
    return tuple(rules)


def violations(rules: tuple[Rule, ...]) -> str:
    """SQL of the list of rules that a row breaks."""
    found = ", ".join(
        f"CASE WHEN {rule.broken} THEN {{'rule': {literal(rule.rule)}, "
        f"'column': {literal(rule.column)}, 'value': {rule.value}}} END"
        for rule in rules
    )
    return f"list_filter([{found}], lambda broken: broken IS NOT NULL)"


def is_broken(rules: tuple[Rule, ...]) -> str:
    """SQL that is true when a row breaks any rule, and never NULL."""
    return " OR ".join(f"coalesce({rule.broken}, false)" for rule in rules) or "false"


def kept_value(column: Column, expression: str) -> str:
    """SQL of a value as it may be kept in the open: short, and never a direct identifier."""
    if column.pii == "direct":
        return "CAST(NULL AS VARCHAR)"
    return _masked(expression)


def _masked(expression: str) -> str:
    """SQL of the beginning of a value, with what looks like a phone or an e-mail masked."""
    text = f"CAST({expression} AS VARCHAR)"
    masked = scrubbed(f"left({text}, {_LOOKED_AT})")
    # A negative length leaves so many characters out at the end.
    whole = f"CASE WHEN length({text}) > {_LOOKED_AT} THEN -{_LONGEST_TOKEN} ELSE {_LOOKED_AT} END"
    return f"left(left({masked}, {whole}), {_VALUE_LENGTH})"


def _trimmed(name: str) -> str:
    """SQL of a text without the blanks around it: most have none, which is cheap to see."""
    return (
        f"CASE WHEN starts_with({name}, ' ') OR ends_with({name}, ' ') THEN trim({name}) "
        f"ELSE {name} END"
    )


def _column_rules(column: Column, mapped_type: str, retailer: Retailer) -> Iterator[Rule]:
    name = identifier(column.name)
    raw = given(column, mapped_type)

    def rule(rule_id: str, broken: str) -> Rule:
        return Rule(rule_id, column.name, broken, kept_value(column, raw))

    unfit = []
    if mapped_type != column.sql_type:
        said = f"trim({raw}) <> ''" if mapped_type == "VARCHAR" else f"{raw} IS NOT NULL"
        unfit.append(f"CASE WHEN {name} IS NULL THEN {said} ELSE false END")
    if column.type in ("timestamp", "date"):
        unfit.append(f"NOT isfinite({name})")
    if unfit:
        yield rule("type", " OR ".join(unfit))
    if column.required:
        if mapped_type != "VARCHAR":
            empty = f"{raw} IS NULL"
        elif raw == name:
            empty = f"{name} IS NULL OR {_trimmed(name)} = ''"
        else:
            # Only what came to nothing when it was cast can have been nothing before.
            empty = f"CASE WHEN {name} IS NULL THEN coalesce(trim({raw}), '') = '' ELSE false END"
        yield rule("not_null", empty)
    if column.values:
        listed = ", ".join(literal(value) for value in column.values)
        yield rule("enum", f"{name} NOT IN ({listed})")
    bounds = [
        f"{name} {sign} {bound}"
        for sign, bound in (("<", column.min), (">", column.max))
        if bound is not None
    ]
    if bounds:
        yield rule("range", " OR ".join(bounds))
    if column.type == "identifier":
        cases = " ".join(
            f"WHEN starts_with({name}, {literal(f'{namespace}:')}) "
            f"THEN strlen({name}) = {len(namespace.encode()) + 1}"
            for namespace in retailer.identifiers
        )
        unfit_id = f"CASE {cases} ELSE true END" if cases else "true"
        yield rule("identifier_namespace", f"{name} IS NOT NULL AND {unfit_id}")
    if column.type == "currency":
        yield rule("currency", f"{name} NOT IN ({', '.join(map(literal, _CURRENCIES))})")


def _future(column: Column, latest: str) -> Rule:
    """A version or a record from the future would hide every true one that follows."""
    name = identifier(column.name)
    at = f"local_to_utc(CAST({name} AS TIMESTAMP))" if column.type == "date" else name
    broken = f"isfinite({at}) AND {at} > {latest}"
    return Rule("future_time", column.name, broken, kept_value(column, name))


def _known_rules(mapped_type: str, latest: str) -> Iterator[Rule]:
    """Rules on when a mapping says that a row could be known."""
    known, raw = "_given_known_at", "_raw_known_at"
    said = f"trim({raw}) <> ''" if mapped_type == "VARCHAR" else f"{raw} IS NOT NULL"
    unfit = f"CASE WHEN {known} IS NULL THEN {said} ELSE NOT isfinite({known}) END"
    yield Rule("type", KNOWN_AT, unfit, _masked(raw))
    yield Rule("future_time", KNOWN_AT, f"isfinite({known}) AND {known} > {latest}", _masked(raw))


def _timestamp(at: datetime) -> str:
    return f"CAST({literal(at.strftime('%Y-%m-%d %H:%M:%S.%f'))} AS TIMESTAMP)"


def _event_rules(column: Column, retailer: Retailer, latest: str) -> Iterator[Rule]:
    value = kept_value(column, identifier(column.name))
    # The event's columns are made beside the contract's; an infinite time is no event.
    happened = "_event_at IS NOT NULL AND isfinite(_event_at)"
    yield Rule("future_event", column.name, f"{happened} AND _event_at > {latest}", value)
    first = f"CAST({literal(retailer.history_from.isoformat())} AS DATE)"
    yield Rule("before_history", column.name, f"{happened} AND _event_date < {first}", value)
