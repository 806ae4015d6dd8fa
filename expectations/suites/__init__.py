"""The rules of every judged table, one module per stage.

What belongs here: which rules a table must satisfy, drawn from contracts and retailer.yaml. What
does not: how they are evaluated (``expectations.runner``), or finding a table's suite by its name
(``expectations.catalog``).
"""
