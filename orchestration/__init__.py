"""Dagster only: assets, checks, resources, jobs, schedules, sensors.

Thin: what a step does is in ``siyu``, ``ml``, ``expectations`` and ``dbt_project``; here it is only
given a name, neighbours and a gate. No business rule lives here, and nothing touches the disk or the
network beyond this repository while definitions load.
"""
