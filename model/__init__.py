"""Features to captions: captioner, training, generation and scoring. Knows nothing of Luigi or keys."""
