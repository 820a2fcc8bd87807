"""Turns completions into scores: correctness, clusters found, diversity, intervals.

Everything except `score.py` is plain numpy, so it works in a notebook without Ray or torch.
"""
