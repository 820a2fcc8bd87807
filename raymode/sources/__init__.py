"""Where problems and their solutions come from. A source is a class with one method; adding one is a file.

A problem is a dict with the columns of table `problems`; a solution is a dict with problem_id, code,
language, label (or None) and claimed. A source hands rows over as they are: the sets room checks
them and sets the bad ones aside.
"""

from raymode.sources.source import Partition, Source, make_source

__all__ = ["Partition", "Source", "make_source"]
