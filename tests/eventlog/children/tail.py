"""Print the last seq of every batch as it is committed."""

import sys
from pathlib import Path

from carryfold.eventlog import LogReader

with LogReader.open(Path(sys.argv[1])) as reader:
    print("tailing", flush=True)
    # The fallback poll is a minute away: only a wake-up can bring a batch in time.
    for batch in reader.tail(int(sys.argv[2]), poll_s=60.0):
        print(batch.last_seq, flush=True)
