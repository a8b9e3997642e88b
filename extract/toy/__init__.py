"""The demo's own data and its own small CLIP."""
