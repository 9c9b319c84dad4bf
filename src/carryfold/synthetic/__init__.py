"""A synthetic market: the same events for the same seed and options."""

from carryfold.synthetic.market import synthetic_events, write_synthetic
from carryfold.synthetic.options import VENUE, SyntheticOptions

__all__ = ["VENUE", "SyntheticOptions", "synthetic_events", "write_synthetic"]
