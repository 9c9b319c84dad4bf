"""The one error that a venue's adapter raises."""

__all__ = ["VenueError"]


class VenueError(Exception):
    """The venue cannot be used as asked; the message is one line, without secrets, and says what to do."""
