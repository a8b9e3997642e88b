"""One `luigi` command: its root tasks, what it says, and how it ends."""
