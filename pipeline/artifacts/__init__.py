"""The artifacts folder on disk: whole files or none. Knows nothing of Luigi."""
