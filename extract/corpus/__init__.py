"""The table of a source: which videos there are, their splits, captions and aspects."""
