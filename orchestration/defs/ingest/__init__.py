"""From source files to the lake, one asset and one gate per entity."""
