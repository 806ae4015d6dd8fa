"""Great Expectations suites of every stage, and the one runner of them.

What belongs here: what a table must satisfy, as rules (``rules``, ``suites``), which table has
which suite (``catalog``), and judging a table (``runner``, over ``engine``). What does not: what a
failure stops (``siyu.ops``, ``orchestration``), and tests of dbt models, which dbt runs.
"""
