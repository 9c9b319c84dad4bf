"""Words that the page and the terminal share."""

from collections.abc import Collection

__all__ = ["leg_words"]


def leg_words(kinds: Collection[str]) -> tuple[str, str]:
    """What the legs of pairs of these kinds (carry, spread, or both) are called: by what they are where all are carry
    pairs, else by their side."""
    return ("spot", "perp") if set(kinds) <= {"carry"} else ("long", "short")
