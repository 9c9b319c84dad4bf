"""Run every benchmark, one after the other, and print their tables. Options are passed to the scripts that have them:
`--peer-python PYTHON` names a Python with the peers."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = (
    "log_append.py",
    "log_replay_raw.py",
    "tape_build.py",
    "fold_speed.py",
    "memory.py",
    "restart.py",
    "daemon_scale.py",
)
WITH_PEER = ("sweep_speed.py", "nautilus_speed.py")


def main() -> None:
    folder = Path(__file__).parent
    failed = []
    for script in (*SCRIPTS, *WITH_PEER):
        print(f"\n## {script}\n", flush=True)
        options = sys.argv[1:] if script in WITH_PEER else []
        if subprocess.run([sys.executable, str(folder / script), *options], check=False).returncode:
            failed.append(script)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
