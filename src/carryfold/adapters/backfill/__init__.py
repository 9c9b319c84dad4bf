"""A venue's history into the log: resumable, newest first, several pairs at once. Knows no venue by name."""

from carryfold.adapters.backfill.pair import Wanted
from carryfold.adapters.backfill.registry import Snapshot, listing_changes, record_listings, snapshot_registry
from carryfold.adapters.backfill.run import BackfillReport, PairReport, choose_pairs, run_backfill

__all__ = [
    "BackfillReport",
    "PairReport",
    "Snapshot",
    "Wanted",
    "choose_pairs",
    "listing_changes",
    "record_listings",
    "run_backfill",
    "snapshot_registry",
]
