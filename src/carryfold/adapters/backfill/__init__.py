"""A venue's history into the log: resumable, newest first, several pairs at once. Independent of the venue."""

from carryfold.adapters.backfill.pair import BackfillRequest
from carryfold.adapters.backfill.run import BackfillReport, PairReport, Progress, run_backfill

__all__ = ["BackfillReport", "BackfillRequest", "PairReport", "Progress", "run_backfill"]
