"""From the lake to the marts: dbt layers, and identity between them."""
