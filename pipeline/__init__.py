"""The machine: config loading, keys, artifacts, plans and status. Knows nothing of videos or models."""
