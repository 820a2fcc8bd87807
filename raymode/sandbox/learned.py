"""Learns which standard modules programs import that a zygote does not load beforehand.

A module loaded beforehand costs every child a little (its pages are copied along) and saves those that import it much.
So few are loaded at first, and more once enough programs import them: programs of one source are alike.
"""

import re
from collections import Counter

from raymode.sandbox.words import words

KNOWN = frozenset(
    words(
        """
        cmath datetime array dataclasses textwrap pprint numbers unicodedata calendar hashlib zlib binascii base64
        json ast inspect struct csv uuid
        """
    )
)
"""Modules that may be loaded too: common ones that do nothing when they are loaded."""
_ENOUGH = 24
"""Programs to have seen before anything is concluded, and again before more is."""
_SHARE = 0.1
"""Of the programs seen; at this share a module is worth its place."""
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+(\w+)|import[ \t]+([\w., \t]+))", re.MULTILINE)


class Learned:
    """Counts imports; `modules` are those worth loading beforehand."""

    def __init__(self) -> None:
        self.modules: tuple[str, ...] = ()
        self._seen = 0
        self._counts: Counter[str] = Counter()

    def note(self, program: str) -> bool:
        """Take note of a program; returns whether `modules` has grown."""
        self._seen += 1
        self._counts.update(imported(program) & KNOWN)
        if self._seen % _ENOUGH:
            return False
        wanted = {name for name, count in self._counts.items() if count >= _SHARE * self._seen}
        if wanted <= set(self.modules):
            return False
        self.modules = tuple(sorted(wanted | set(self.modules)))
        return True


def imported(program: str) -> set[str]:
    """Return the top-level modules that a program's text imports."""
    found = set()
    for module, modules in _IMPORT.findall(program):
        found.add(module)
        found.update(
            each.split()[0].partition(".")[0] for each in modules.split(",") if each.split()
        )
    return found - {""}
