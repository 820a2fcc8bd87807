"""Modules that many programs import are loaded beforehand after a while."""

import pytest

from raymode.sandbox import Sandbox, Test
from raymode.sandbox.learned import Learned, imported

PLAIN = "print(int(input()) + 1)"


@pytest.mark.parametrize(
    ("program", "modules"),
    [
        ("import json", {"json"}), ("import os.path as p, json as j", {"os", "json"}), (PLAIN, set()),
        ("if 1:\n    from datetime import *", {"datetime"}), ("x = 'import json'", set()),
        ("import sys; import json", {"sys"}), ("from . import x", set()),
    ],
)  # fmt: skip
def test_imports_are_read_from_the_text(program: str, modules: set[str]) -> None:
    assert imported(program) == modules


def test_a_tenth_of_the_programs_is_enough() -> None:
    learned = Learned()
    programs = [
        "import json, subprocess",
        "import json",
        "import json",
        "import csv",
        *[PLAIN] * 20,
    ]
    assert [learned.note(program) for program in programs] == [False] * 23 + [True]
    assert learned.modules == ("json",)  # csv is too rare, subprocess not harmless
    assert not any(learned.note(program) for program in [*programs, *[PLAIN] * 100])
    assert learned.modules == ("json",)  # what is loaded stays


def test_programs_find_them_loaded_and_verdicts_stay() -> None:
    shows = "import json, sys\nprint('datetime' in sys.modules)"
    with Sandbox(cache_size=0) as sandbox:
        assert sandbox.run(shows, "").output == b"False\n"
        for number in range(24):
            program = f"import datetime\nprint(int(input()) + 1)  # {number}"
            assert sandbox.judge(program, [Test("1\n", "2\n")]).accepted
        assert sandbox.run(shows, "").output == b"True\n"
