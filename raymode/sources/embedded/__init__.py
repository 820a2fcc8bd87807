"""Programming problems that raymode's developers write themselves: no network, any number of them.

`generate` turns a seed into problems with tests and with right, duplicate, wrong, slow and crashing
programs. Each module families_*.py holds a handful of families in the shape of `family.Family`.
"""

from .generate import generate

__all__ = ["generate"]
