"""Market history from files into the log: one door, one small module a format."""

from carryfold.adapters.importing.availability import Availability, agree_on_availability
from carryfold.adapters.importing.door import import_paths
from carryfold.adapters.importing.report import FileReport, ImportRefused, ImportReport, Rejection

__all__ = [
    "Availability",
    "FileReport",
    "ImportRefused",
    "ImportReport",
    "Rejection",
    "agree_on_availability",
    "import_paths",
]
