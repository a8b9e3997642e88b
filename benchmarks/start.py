"""What it costs to begin: `import videocap` and `videocap --help`, over Python's own start.

    python benchmarks/start.py [--rounds 20]

Runs all in turn, each in a process of its own; prints medians of the surplus over `python -c pass`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python": ("-c", "pass"),
    "import videocap": ("-c", "import videocap"),
    "videocap --help": ("-m", "videocap", "--help"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - started)
    start = statistics.median(seconds.pop("python"))
    for name, found in seconds.items():
        print(f"{name:<16} {statistics.median(found) - start:.3f} s more than Python's own start ({start:.3f} s)")


if __name__ == "__main__":
    main()
