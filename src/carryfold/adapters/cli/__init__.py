"""The command line. Start at app.py."""

from carryfold.adapters.cli.app import app, main

__all__ = ["app", "main"]
