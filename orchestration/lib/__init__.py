"""What the definitions share: the gate factory, dbt layers, progress, the reaper of dead runs."""
