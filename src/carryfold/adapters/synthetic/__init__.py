"""A seeded market that never was: the same events for the same seed and options, as many as wanted."""

from carryfold.adapters.synthetic.market import synthetic_events, write_synthetic
from carryfold.adapters.synthetic.options import VENUE, SyntheticOptions

__all__ = ["VENUE", "SyntheticOptions", "synthetic_events", "write_synthetic"]
