"""Start-up time of a command: `make bench BENCH=benchmarks/start.py`, or this file.

`petpark --help`, completion of a word, and commands in a folder without a project or rehearsal, which end where their
first look at it would begin. Reference: the interpreter that does nothing, in the same turns. Ends with 1 if a median
is above 0.35 s, or with 2 if the machine is too noisy to tell: the reference's spread is beyond half of its median.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.figures import Machine, Spread

PROMISE = 0.35
TURNS = 11
NOISY = 0.5
REFERENCE = "python -c pass"
PETPARK = (sys.executable, "-m", "petpark")
COMPLETION = {"_PETPARK_COMPLETE": "complete_bash", "COMP_WORDS": "petpark mod", "COMP_CWORD": "1"}
COMMANDS: Mapping[str, tuple[Sequence[str], Mapping[str, str]]] = {
    REFERENCE: ((sys.executable, "-c", "pass"), {}),
    "petpark --help": ((*PETPARK, "--help"), {}),
    "petpark mod<TAB>": ((sys.executable, "-c", "from petpark.__main__ import main; main()"), COMPLETION),
    "petpark models list": ((*PETPARK, "models", "list", "--target", "rehearsal"), {}),
    "petpark models list --help": ((*PETPARK, "models", "list", "--help"), {}),
    "petpark promote --help": ((*PETPARK, "promote", "--help"), {}),
    "import boto3": ((sys.executable, "-c", "import boto3"), {}),
}
"""The last is what every command that uses AWS needs in addition, with its first client."""


def main() -> int:
    """Measure in turns and print."""
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(str(Machine.here()))
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory(prefix="petpark-bench-") as folder:
        for turn in range(TURNS + 1):
            for name, (words, environment) in COMMANDS.items():
                began = time.perf_counter()
                subprocess.run(
                    words, cwd=folder, env={**os.environ, **environment}, capture_output=True, check=False, timeout=60
                )
                if turn:  # the first writes bytecode
                    seconds[name].append(time.perf_counter() - began)
    shown = Table("command", "s", title="start", title_justify="left")
    for name, taken in seconds.items():
        shown.add_row(name, str(Spread.of(taken)))
    console.print(shown)
    reference = seconds[REFERENCE]
    if max(reference) - min(reference) > NOISY * statistics.median(reference) + 0.02:
        console.print("the machine is too noisy to tell")
        return 2
    kept = all(statistics.median(seconds[name]) <= PROMISE for name in seconds if name.startswith("petpark"))
    console.print(f"at most {PROMISE} s: {'as promised' if kept else 'NOT AS PROMISED'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
