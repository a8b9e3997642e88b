"""Shards of features: written, checked, read, and exchanged with other formats."""
