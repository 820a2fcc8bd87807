"""Which isolation levels of the sandbox can be tried on this host.

A level that this host refuses is skipped, saying why; with RAYMODE_ALL_LEVELS=1 it is a failure.
"""

import functools
import os
from collections.abc import Callable

import pytest

from raymode.errors import SandboxError
from raymode.sandbox import Sandbox
from raymode.sandbox.runner import LEVELS


@functools.cache
def refusal(level: str) -> str:
    """Return why this host refuses a level; "" if it does not."""
    try:
        Sandbox(level=level).close()
    except SandboxError as error:
        return str(error)
    return ""


def refused(why: str) -> None:
    """End a test that needs a level which is refused here."""
    if os.environ.get("RAYMODE_ALL_LEVELS") == "1":
        pytest.fail(f"RAYMODE_ALL_LEVELS=1, and a level is refused: {why}")
    pytest.skip(f"refused on this host: {why}")


def require(level: str) -> None:
    """Skip a test that needs `level`, or fail, where this host refuses it."""
    if why := refusal(level):
        refused(why)


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    """Every level that this host allows."""
    require(request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def require_level() -> Callable[[str], None]:
    """The function that skips a test, or fails it, where this host refuses a level."""
    return require


@pytest.fixture(scope="session")
def level_refused() -> Callable[[str], None]:
    """The function that skips a test, or fails it, for a refusal that it met itself."""
    return refused


@pytest.fixture(scope="session")
def strongest() -> str:
    """The strongest level that this host allows."""
    for level in LEVELS:
        if not refusal(level):
            return level
    pytest.fail(f"no level works here: {refusal(LEVELS[-1])}")
