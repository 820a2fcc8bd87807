"""Independent seeds derived from one root seed and the names of what they are for.

A seed depends on names and ids only, never on worker numbers, time or Python's own hash, so a run is
the same whatever the number of workers and wherever a retry happens.
"""

import hashlib

SEED_BITS = 63  # fits a signed 64-bit integer: Arrow, torch and vLLM all take it


def derive_seed(root: int, *parts: str | int) -> int:
    """Return the seed in [0, 2**63) that belongs to `parts` (stage, ids ...) under `root`."""
    text = "\x1f".join([str(root), *(f"{type(part).__name__}:{part}" for part in parts)])
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)
