"""The daily run: what changed, facts, gates, publication, Dagster, and the command line."""
