"""The few exceptions a user sees.

Every message is one line that names the file, row, field or key, says what was wrong and what to do.
They carry only strings, so they survive pickling between Ray processes.
"""


class RaymodeError(Exception):
    """Base of every error raymode raises on purpose."""


class ConfigError(RaymodeError, ValueError):
    """A key, value or combination in the configuration is wrong; raised before Ray starts."""


class StorageError(RaymodeError, OSError):
    """A run directory or table cannot be read or written."""


class DataError(RaymodeError, ValueError):
    """A row, table or tokenizer does not hold what it must."""


class SandboxError(RaymodeError, RuntimeError):
    """The sandbox cannot run programs safely here; never a verdict about a program."""


class BusyError(RaymodeError, RuntimeError):
    """Another driver is already at work in this run directory."""


class TrainingError(RaymodeError, RuntimeError):
    """Training cannot go on (for example the loss became NaN)."""


def brief(error: BaseException) -> str:
    """Return what an error of somebody else's says, on one line that is not too long for a message of ours."""
    return " ".join(str(error).split())[:200]
