"""Captions by a trained captioner: of a split, and of a person's own videos."""
