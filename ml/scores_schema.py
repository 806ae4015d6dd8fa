"""Columns of ``ml.customer_scores``, as data: types for writing, comments for publication.

What belongs here: the table's shape and its words in English and Chinese. What does not: filling it
(``ml.scoring``).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from ml.reasons import REASONS

SCORES_TABLE = "ml.customer_scores"
SCORES_KEY = ("customer_id", "as_of_date", "model_name", "model_version")
SCORES_EN = "Model scores of customers by as-of date, with the reasons in words"
SCORES_ZH = "客户模型评分（按截止日期），附文字原因"


@dataclass(frozen=True)
class ScoreColumn:
    """One column.

    Attributes:
        name: Its name.
        type: Arrow type.
        en: English comment.
        zh: Chinese comment.
        required: Whether it is never null.
    """

    name: str
    type: pa.DataType
    en: str
    zh: str
    required: bool = True


def _reason_columns() -> tuple[ScoreColumn, ...]:
    columns: list[ScoreColumn] = []
    for rank in range(1, REASONS + 1):
        columns += [
            ScoreColumn(f"reason_{rank}", pa.string(),
                        f"Reason {rank} for the score, in English", f"第 {rank} 原因（英文）", False),
            ScoreColumn(f"reason_{rank}_zh", pa.string(),
                        f"Reason {rank} for the score, in Chinese", f"第 {rank} 原因（中文）", False),
            ScoreColumn(f"reason_{rank}_contribution", pa.float64(),
                        f"What reason {rank} adds to the log-odds; negative lowers the probability",
                        f"第 {rank} 原因对对数几率的贡献，负值降低概率", False),
        ]  # fmt: skip
    return tuple(columns)


SCORE_COLUMNS: tuple[ScoreColumn, ...] = (
    ScoreColumn("customer_id", pa.string(), "Customer, pseudonymous", "客户编号（假名）"),
    ScoreColumn("as_of_date", pa.date32(), "Local day at whose end the customer was scored",
                "评分截止日期"),
    ScoreColumn("model_name", pa.string(), "Registered model: <retailer>_<task>", "模型名称"),
    ScoreColumn("model_version", pa.int64(), "Version in the model registry", "模型版本"),
    ScoreColumn("task", pa.string(), "churn (no purchase) or repurchase", "任务：流失或复购"),
    ScoreColumn("horizon_days", pa.int64(), "Days that the probability speaks of", "预测窗口天数"),
    ScoreColumn("p_raw", pa.float64(), "Probability before calibration", "校准前概率"),
    ScoreColumn("p_calibrated", pa.float64(),
                "Probability of the task's event within the horizon", "校准后概率"),
    ScoreColumn("decile", pa.int64(), "1 is the tenth of customers with the highest probability",
                "十分位，1 为概率最高"),
    ScoreColumn("risk_band", pa.string(),
                "high, medium or low risk that the customer does not buy", "流失风险等级"),
    *_reason_columns(),
    ScoreColumn("feature_hash", pa.string(), "Hash of the feature values that were scored",
                "特征哈希"),
    ScoreColumn("run_id", pa.string(), "MLflow run that trained the model", "训练运行编号"),
)  # fmt: skip

SCORES_SCHEMA = pa.schema(
    [pa.field(column.name, column.type, not column.required) for column in SCORE_COLUMNS]
)
