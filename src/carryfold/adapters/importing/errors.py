"""Why an import as a whole is refused."""

__all__ = ["ImportRefused"]


class ImportRefused(Exception):
    """Nothing was imported; the text is one line that says which file, why, and what to do."""
