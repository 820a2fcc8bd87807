"""An error of raymode's own ends a training of several workers, however few of them meet it.

Trying again cannot mend such an error, and the other workers may wait in a collective for the one that met it. That one
leaves a note in Ray's key-value store and fails; Ray Train then ends the others. The workers that it starts again find
the note and end at once, and the driver raises the error that stands there.
"""

import pickle

from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_put

from raymode import errors
from raymode.errors import RaymodeError


def note(training: str, error: RaymodeError) -> None:
    """Leave a note of an error that ends a training, by a name that no other training has; the first one stays."""
    content = pickle.dumps((type(error).__name__, str(error)))
    _internal_kv_put(_key(training), content, overwrite=False)


def noted(training: str) -> RaymodeError | None:
    """Return the error of which a note was left, if any."""
    content = _internal_kv_get(_key(training))
    if not content:
        return None
    kind, message = pickle.loads(content)
    error: RaymodeError = getattr(errors, kind)(message)
    return error


def forget(training: str) -> None:
    """Delete the note."""
    _internal_kv_del(_key(training))


def _key(training: str) -> bytes:
    return f"raymode/{training}/error".encode()
