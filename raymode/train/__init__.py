"""Fine-tuning on groups of one prompt and K responses: plain torch; only run.py imports Ray."""
