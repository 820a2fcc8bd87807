"""The loop that zygotes run: the one in C where it was built, else its twin in Python.

Both give the same verdicts; `KIND` says which one it is, and `python -m raymode.sandbox --selftest` prints it.
"""

try:
    from raymode.sandbox._forkloop import leaves_nothing, load_filter, serve, stand_by, system_call
except ImportError:
    from raymode.sandbox.forkloop import leaves_nothing, load_filter, serve, stand_by, system_call

    KIND = "Python"
else:
    KIND = "C"

__all__ = ["KIND", "leaves_nothing", "load_filter", "serve", "stand_by", "system_call"]
