"""Frozen image and text encoders, by name or from a checkpoint."""
