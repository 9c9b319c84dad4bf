"""Hold a read transaction open until killed, as a hung dashboard would."""

import sys
from pathlib import Path

import lmdb

env = lmdb.open(str(Path(sys.argv[1]) / "log"), readonly=True, map_size=0, max_dbs=3)
with env.begin() as transaction:
    print(transaction.id(), flush=True)
    sys.stdin.read()
