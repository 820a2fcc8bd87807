"""raymode: measure mode collapse of a fine-tuned language model, prevent it, and decide how much data to buy.

Importing this package loads no torch, ray, vllm or transformers; the rooms do, where they need them.
"""

__version__ = "0.1.0"
