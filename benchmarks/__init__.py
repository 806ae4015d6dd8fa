"""Speed, memory and model quality, each against a reference measured in the same run.

What belongs here: one module per benchmark, whose ``main()`` reports one line and returns whether
the goal was reached, and ``_report``, which they share. What does not: tests of correctness.
"""
