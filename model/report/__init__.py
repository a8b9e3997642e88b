"""Results for people: the report and the paper's tables."""
