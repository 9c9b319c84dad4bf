"""Market history from files into the log. Start at importer.py; each format has a small module."""

from carryfold.adapters.importing.errors import ImportRefused
from carryfold.adapters.importing.importer import import_paths
from carryfold.adapters.marketdata.report import FileReport, ImportReport, Rejection

__all__ = [
    "FileReport",
    "ImportRefused",
    "ImportReport",
    "Rejection",
    "import_paths",
]
