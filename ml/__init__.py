"""From labels to scores.

What belongs here: the calendar of cuts, data sets, baselines, training, evaluation, promotion,
keeping models and scoring. What does not: the SQL of features and labels (``dbt_project``) and
anything of Dagster. ``ml.steps`` is what a pipeline calls.
"""
