"""Compile one kernel of the fold into its cache: python -m tests.compile_fold simulate|simulate_many"""

import sys

import numpy as np

from carryfold.domain.fold import State, simulate, simulate_many
from carryfold.domain.instruments import Instrument, carry_pair
from carryfold.domain.params import Parameters
from carryfold.domain.rows import ROW


def main(kernel: str) -> None:
    """Run the kernel on no rows, which compiles it."""
    instruments = [Instrument("x", "XUSDT", "spot"), Instrument("x", "XUSDT", "perp")]
    state = State(Parameters(), instruments, [carry_pair("x", "XUSDT", spot_symbol="XUSDT")])
    rows = np.zeros(0, ROW)
    if kernel == "simulate":
        simulate(state, rows)
    else:
        simulate_many([state], rows)


if __name__ == "__main__":
    main(sys.argv[1])
