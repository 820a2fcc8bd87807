"""Long lists of names, written as text."""


def words(text: str) -> list[str]:
    """Split `text` at white space."""
    return text.split()
