"""The command line. Start at app.py."""

from carryfold.adapters.cli.app import main

__all__ = ["main"]
