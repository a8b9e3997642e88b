"""Training on stored features, from batches to checkpoints."""
