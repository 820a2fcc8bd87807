"""Drawing completions of prompts from a checkpoint: only engine.py imports vllm, only pool.py imports Ray."""
