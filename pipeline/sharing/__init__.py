"""Push and pull: results travel between an artifacts folder and a place that others reach."""
