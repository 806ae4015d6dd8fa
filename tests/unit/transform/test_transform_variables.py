"""What a run tells dbt, and the files of the dbt project that follow from the contracts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from siyu.contracts import contracts
from siyu.retailer import Retailer
from siyu.transform import PROJECT, dbt_vars, end_of_day, generated, sources_yaml

ZONES = ["Asia/Shanghai", "America/New_York", "Europe/London", "UTC", "Pacific/Auckland"]


def retailer() -> Retailer:
    return Retailer.model_validate(
        {
            "name": "tiny",
            "en": "Tiny",
            "zh": "小店",
            "timezone": "America/New_York",
            "currency": "USD",
            "history_from": date(2025, 1, 1),
            "identifiers": {"crm": {"type": "member_id"}, "wx": {"type": "unionid"}},
            "inputs": {},
            "models": {
                "churn": {"horizon_days": 60, "lead_days": 7},
                "repurchase": {"horizon_days": 30},
            },
            "folder": Path("tiny"),
        }
    )


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2037, 12, 30)), st.sampled_from(ZONES))
def test_a_day_ends_at_the_first_instant_of_the_next_local_day(day: date, zone: str) -> None:
    end = end_of_day(day, zone).replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    last = (end - timedelta(microseconds=1)).astimezone(UTC).astimezone(ZoneInfo(zone))

    assert end.date() == day + timedelta(days=1)
    assert last.date() == day


@pytest.mark.parametrize(
    ("day", "end"),
    [
        (date(2026, 1, 31), "2026-02-01 05:00"),
        # Clocks go forward on 8 March 2026.
        (date(2026, 3, 8), "2026-03-09 04:00"),
    ],
)
def test_the_end_of_a_day_follows_summer_time(day: date, end: str) -> None:
    assert end_of_day(day, "America/New_York") == datetime.fromisoformat(end)


def test_variables_give_both_forms_of_as_of_for_the_run_and_each_feature_date() -> None:
    day, before = date(2026, 3, 8), date(2026, 1, 31)

    said = dbt_vars(retailer(), day, [day, before, day])

    assert (said["as_of_date"], said["as_of"]) == ("2026-03-08", "2026-03-09 04:00:00")
    assert said["feature_dates"] == [
        {"as_of_date": "2026-01-31", "as_of": "2026-02-01 05:00:00"},
        {"as_of_date": "2026-03-08", "as_of": "2026-03-09 04:00:00"},
    ]


def test_variables_give_the_retailers_namespaces_and_horizons() -> None:
    said = dbt_vars(retailer(), date(2026, 3, 8))

    assert said["identifier_types"] == {"crm": "member_id", "wx": "unionid"}
    assert said["models"]["churn"]["horizon_days"] == 60
    assert said["models"]["churn"]["lead_days"] == 7
    assert said["min_sync_rate"] == 0.95
    lenient = retailer().model_copy(update={"gates": {"min_sync_rate": 0.8}})
    assert dbt_vars(lenient, date(2026, 3, 8))["min_sync_rate"] == 0.8


def test_the_project_lists_every_variable_that_a_run_gives() -> None:
    listed = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"]

    assert set(dbt_vars(retailer(), date(2026, 3, 8))) <= set(listed)


@pytest.mark.parametrize("file", generated(), ids=lambda file: file.name)
def test_generated_files_say_what_the_contracts_say(file: Path) -> None:
    assert file.read_text("utf-8") == generated()[file], f"{file} is stale: run `siyu generate`"


def test_every_contract_is_a_source_with_all_its_lake_columns() -> None:
    (source,) = yaml.safe_load(sources_yaml())["sources"]
    tables = {table["name"]: table for table in source["tables"]}

    for entity, found in contracts().items():
        columns = {c["name"]: c for c in tables[entity]["columns"]}
        assert list(columns) == [c.name for c in found.lake_columns]
        assert all(c["description"] and c["config"]["meta"]["zh"] for c in columns.values())
