"""Scores of captions: CIDEr, METEOR, ROUGE-L, BLEU, their intervals, and what stands beside them."""
