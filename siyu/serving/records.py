"""Tables of the schema ``ops`` in every publication, and what they and their columns mean.

What belongs here: gathering what the ledger and landing say of themselves, in words for people who
read it in BI. What does not: counting (``siyu.quality``, ``siyu.lake``, ``siyu.ops``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from siyu.audit import AuditLog
from siyu.config import REPO
from siyu.dictionary import Model, ModelColumn, type_name
from siyu.lake import Lake
from siyu.ops import Ledger
from siyu.paths import Paths
from siyu.quality import lateness, quarantine, schema_drift
from siyu.retailer import Retailer, read_retailer
from siyu.serving.publication import TableText

_ENTITY = ("Entity of the lake", "实体")
_SOURCE = ("Input it came from", "来源输入")
_BATCH = ("Batch", "批次")
_LOADED_AT = ("When it landed (UTC)", "入湖时间（UTC）")
_RULE = ("Rule that was broken", "规则")
_TABLE = ("Table judged, as schema.table", "表（schema.table）")
_VERSION = ("Version of the table: one writing of it", "表版本（一次写入）")
_AS_OF = ("Local day it speaks of; empty for what is of no day", "截止日；无截止日时为空")
_COLUMN = ("Column that broke it; empty where a record could not be read", "字段；整条不可读时为空")

OPS_TEXTS: Mapping[str, TableText] = {
    "ops.quarantine": TableText(
        "Rows in quarantine by day loaded, input, rule and column; no payload. A row that broke "
        "several rules counts under each.",
        "隔离行：按入湖日、来源、规则与字段统计，不含内容；违反多条规则的行分别计入。",
        {
            "loaded_date": ("Local day they came in", "入湖日（当地）"),
            "entity": _ENTITY,
            "source": _SOURCE,
            "rule": _RULE,
            "column": _COLUMN,
            "status": (
                "open; released, when their batch landed anew, a later batch brought their key or, "
                "of records without one, their file came again; or retracted with their batch",
                "open 未解决；released 已放行（批次重新入湖、后续批次带来同一键，或无键记录的同名文件再次送达）；"
                "retracted 随批次撤回",
            ),
            "rows": ("Rows that broke the rule", "违反规则的行数"),
            "rows_in": (
                "Rows that came in on that day from that input, in batches of the same standing",
                "当日该来源进入的行数（同状态批次）",
            ),
            "share": ("rows over rows_in, 0 to 1", "占比（0 到 1）"),
        },
    ),
    "ops.lateness": TableText(
        "How many hours after they happened rows became known, by input and day of knowing.",
        "到达延迟：事件发生到可知之间的小时数，按来源与可知日统计。",
        {
            "entity": _ENTITY,
            "source": _SOURCE,
            "known_date": ("Local day they became known", "可知日（当地）"),
            "rows": ("Rows with an event time", "有事件时间的行数"),
            "p50_hours": ("Half of them were known within so many hours", "延迟中位数（小时）"),
            "p95_hours": ("95 of 100 were known within so many hours", "延迟 95 分位（小时）"),
            "max_hours": ("The latest of them, in hours", "最大延迟（小时）"),
        },
    ),
    "ops.schema_drift": TableText(
        "Columns of source files that came, went or changed their type, by batch in force.",
        "源文件字段变化：新增、缺失或类型改变，按生效批次列出。",
        {
            "entity": _ENTITY,
            "source": _SOURCE,
            "batch_id": _BATCH,
            "loaded_at": _LOADED_AT,
            "column": ("Source column", "源字段"),
            "change": (
                "new (kept aside), missing (null) or retyped",
                "new 新增（另存）、missing 缺失（置空）、retyped 类型改变",
            ),
            "expected": ("Its type before; empty for a new one", "原类型；新增时为空"),
            "found": ("Its type in this batch; empty for a missing one", "现类型；缺失时为空"),
        },
    ),
    "ops.batch": TableText(
        "One row per batch in force: what landed, from where, and what became of its rows.",
        "入湖批次：每个生效批次一行，说明来源与各行去向。",
        {
            "batch_id": _BATCH,
            "entity": _ENTITY,
            "source": _SOURCE,
            "file_count": ("Source files in it", "文件数"),
            "bytes": ("Size of its files", "文件字节数"),
            "contract_sha256": ("Hash of the contract it met", "契约哈希"),
            "mapping_sha256": ("Hash of what mapped it", "映射哈希"),
            "rows_read": ("Records in its files", "文件记录数"),
            "rows_in": ("Rows that the mapping made", "映射产生的行数"),
            "accepted": ("Rows accepted", "接受行数"),
            "duplicates": ("Exact repeats left out", "重复行数"),
            "quarantined": ("Rows rejected", "隔离行数"),
            "suppressed": ("Rows of erased people left out", "抑制行数"),
            "superseding": ("Accepted rows whose key was known", "更新已有键的行数"),
            "event_min": ("Earliest event (UTC)", "最早事件时间（UTC）"),
            "event_max": ("Latest event (UTC)", "最晚事件时间（UTC）"),
            "loaded_at": _LOADED_AT,
            "backfill": ("Whether it was the first landing of its input", "是否首次入湖"),
            "complete_through": ("Last local day it shows complete", "数据完整截止日"),
            "run_id": ("Run that landed it", "运行编号"),
            "rewritten": (
                "Version of the lake's table at which rows were last deleted or changed where they "
                "are, or landed again; 0 when all are as they first landed",
                "行最近被原位删除、修改或重新入湖时的表版本；未改动为0",
            ),
        },
    ),
    "ops.quarantine_summary": TableText(
        "Rows in quarantine by batch in force, rule and column; no payload.",
        "隔离汇总：按生效批次、规则与字段统计，不含内容。",
        {
            "entity": _ENTITY,
            "source": _SOURCE,
            "batch_id": _BATCH,
            "rule": _RULE,
            "column": _COLUMN,
            "rows": ("Rows that broke it", "行数"),
            "loaded_at": _LOADED_AT,
        },
    ),
    "ops.table_version": TableText(
        "Every writing of every table, whether or not its gates passed it.",
        "表版本：每张表的每次写入，无论质检是否通过。",
        {
            "table_name": _TABLE,
            "version": _VERSION,
            "run_id": ("Run that wrote it", "写入的运行编号"),
            "gates": ("Gates that it has to pass, as a JSON list", "须通过的质检（JSON 列表）"),
            "as_of_date": _AS_OF,
            "row_count": ("Rows in it; empty while it is being written", "行数；写入中为空"),
            "started_at": ("When the writing began (UTC)", "写入开始时间（UTC）"),
            "written_at": (
                "When it ended (UTC); empty when it never did",
                "写入结束时间（UTC）；未完成为空",
            ),
        },
    ),
    "ops.gate_result": TableText(
        "What each rule of a gate said of a version of a table.",
        "质检结果：每条规则对某一表版本的结论。",
        {
            "table_name": _TABLE,
            "version": _VERSION,
            "gate": ("gx (Great Expectations) or dbt", "质检方：gx 或 dbt"),
            "rule": ("Rule of the gate", "规则"),
            "severity": (
                "ERROR stops what reads the table, WARN does not",
                "级别：ERROR 阻断，WARN 提示",
            ),
            "outcome": (
                "passed, failed, or errored (could not be told)",
                "结果：passed、failed 或 errored",
            ),
            "failed_count": ("Rows that broke it, where they are counted", "违反行数（可计时）"),
            "observed": ("What was found", "实际值"),
            "example_keys": (
                "Keys of a few rows that broke it, as a JSON list",
                "违反规则的示例键（JSON 列表）",
            ),
            "message": ("What was expected and what was found", "说明：期望与实际"),
            "run_id": ("Run that judged", "质检的运行编号"),
            "judged_at": ("When it was judged (UTC)", "质检时间（UTC）"),
        },
    ),
    "ops.run": TableText(
        "Every run of a job, and how it ended.",
        "运行记录：每次作业运行及其结果。",
        {
            "run_id": ("Run", "运行编号"),
            "job": ("Job that ran", "作业"),
            "as_of_date": _AS_OF,
            "started_at": ("When it began (UTC)", "开始时间（UTC）"),
            "ended_at": ("When it ended (UTC); empty while it runs", "结束时间（UTC）；运行中为空"),
            "status": ("running, succeeded or failed", "状态：running、succeeded 或 failed"),
            "error": ("Why it failed", "失败原因"),
        },
    ),
    "ops.audit_log": TableText(
        "The chain of consents, manual identity rules, erasures, exports and publications, up to this "
        "publication; what the entries say stays out of it.",
        "审计日志：同意、人工身份规则、删除、导出与发布的哈希链，截至本次发布之前；不含内容。",
        {
            "sequence": ("Number of the entry, from 1", "序号（从 1 起）"),
            "kind": (
                "consents, identity_rule, erasure, export or publication",
                "类型：consents、identity_rule、erasure、export 或 publication",
            ),
            "reference": ("What it is of, within its kind", "所指对象（同类内唯一）"),
            "occurred_at": ("When it was done (UTC)", "发生时间（UTC）"),
            "recorded_at": ("When the entry was made (UTC)", "记录时间（UTC）"),
            "hash": (
                "Hash of the entry, which covers that of the one before",
                "本条哈希，涵盖上一条的哈希",
            ),
        },
    ),
}


def ops_tables(paths: Paths, retailer: Retailer) -> dict[str, pa.Table]:
    """Tables for the schema ``ops`` of a publication, by name."""
    ledger, lake = Ledger(paths.ops), Lake(paths)
    return {
        "table_version": ledger.arrow("table_version"),
        "gate_result": ledger.arrow("gate_result"),
        "run": ledger.arrow("run"),
        "batch": lake.batches(),
        "quarantine_summary": lake.quarantine_summary(),
        "quarantine": quarantine(paths, retailer),
        "lateness": lateness(paths, retailer),
        "schema_drift": schema_drift(paths),
        "audit_log": AuditLog.of(paths).arrow(),
    }


def ops_models() -> list[Model]:
    """The same tables as the data dictionary shows them."""
    with TemporaryDirectory() as nothing:
        empty = ops_tables(Paths(Path(nothing), "demo"), read_retailer(REPO / "retailers" / "demo"))
    return [
        Model(
            layer="ops",
            name=name,
            en=OPS_TEXTS[f"ops.{name}"].en,
            zh=OPS_TEXTS[f"ops.{name}"].zh,
            columns=tuple(
                ModelColumn(name=field.name, type=type_name(field.type), en=en, zh=zh)
                for field, (en, zh) in zip(
                    table.schema, OPS_TEXTS[f"ops.{name}"].columns.values(), strict=True
                )
            ),
        )
        for name, table in empty.items()
    ]
