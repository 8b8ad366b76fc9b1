"""What the registry costs and withstands, on a fast S3 server of this machine: `make bench`, or this file.

- transfer: publish and fetch of one model of 45 MB and of 1,000 small files, compared with s5cmd, `aws s3 cp`, boto3,
  AWS's transfer library in C, and MLflow's registry with its artifacts on the same server. Judged by the 95 % interval
  of the ratio of pairs to s5cmd less its start, which takes 6 trials at least; "not concluded" where that reaches
  over the promise. `--plain`: compared with s5cmd only. `--directory /dev/shm` where other people write to the disk.
- latency: promote and follow, compared with a round trip of the same client.
- resolve: requests to find the active version, in logs of 10 to 100,000 entries.
- race: 16 processes promote on one channel at once; the history is then compared with the result that each got.

Contestants take turns, so that a busy neighbour meets all of them; medians, extremes and ratios of pairs are shown.
Ends with 1 if the race or the number of requests is not as promised; times are judged, but depend on the machine.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine
from benchmarks.support.registry import latency, race, resolve, transfer
from benchmarks.support.registry.contestants import REFERENCES, reference_versions
from benchmarks.support.s3_server import VERSITYGW, S3Server, s3_server

PARTS = ("transfer", "latency", "resolve", "race")


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is done."""

    trials: int
    moves: int
    sizes: tuple[int, ...]
    repetitions: int
    attempts: int
    writers: int = 16
    followers: int = 3


FULL = Effort(trials=9, moves=500, sizes=(10, 1_000, 10_000, 100_000), repetitions=5, attempts=10_000)
QUICK = Effort(trials=2, moves=50, sizes=(10, 1_000, 10_000), repetitions=3, attempts=500)


class Figures(Protocol):
    """What a part found out."""

    @property
    def holds(self) -> bool:
        """False if something that does not depend on the machine is not as promised."""
        ...

    def table(self) -> Table:
        """For people."""
        ...

    def verdicts(self) -> list[str]:
        """Each promise and whether it was kept."""
        ...

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        ...


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    parser.add_argument("--quick", action="store_true", help="few repetitions: to see that it works, not for figures")
    parser.add_argument("--trials", type=int, help=f"of each transfer ({FULL.trials})")
    parser.add_argument("--plain", action="store_true", help="transfer: petpark compared with s5cmd only")
    parser.add_argument("--attempts", type=int, help=f"to move the channel in the race ({FULL.attempts:,})")
    parser.add_argument("--directory", type=Path, help="where the temporary folder with all objects is made")
    parser.add_argument("--json", action="store_true", help="the same facts for programs")
    options = parser.parse_args()
    parts: list[str] = options.only or list(PARTS)
    if missing := missing_tools(parts):
        print("\n".join(missing), file=sys.stderr)
        return 2
    effort = QUICK if options.quick else FULL
    effort = replace(effort, trials=options.trials or effort.trials, attempts=options.attempts or effort.attempts)
    versions = reference_versions() if "transfer" in parts else {}
    machine = Machine.here()
    show = Console(quiet=options.json, width=None if sys.stdout.isatty() else 140, highlight=False)
    show.print(str(machine), *(f"{tool} {version}" for tool, version in versions.items()), sep=", ")
    found: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="petpark-bench-", dir=options.directory) as name:
        directory = Path(name)
        with s3_server(directory / "buckets") as server:
            os.environ.update(server.environment())  # for the client in this process, and those that it starts
            for part in parts:
                found[part] = measure(part, server, directory, effort, plain=options.plain)
                for figures in found[part]:
                    show.print("", figures.table(), *figures.verdicts(), sep="\n")
    if options.json:
        figures_of = {part: [figures.to_dict() for figures in found[part]] for part in parts}
        print(json.dumps({"machine": asdict(machine), "versions": versions, **figures_of}, indent=2))
    return 0 if all(figures.holds for part in parts for figures in found[part]) else 1


def measure(part: str, server: S3Server, directory: Path, effort: Effort, *, plain: bool) -> list[Figures]:
    """Returns the figures of one part; progress is printed to standard error."""
    console = Console(stderr=True)
    match part:
        case "transfer":
            trials = effort.trials
            found = transfer.measure(server, directory, os.environ, trials=trials, console=console, plain=plain)
            return [*found]
        case "latency":
            return [latency.measure(server, n=effort.moves, console=console)]
        case "resolve":
            return [resolve.measure(server, sizes=effort.sizes, repetitions=effort.repetitions, console=console)]
        case _:
            crews = {"writers": effort.writers, "followers": effort.followers}
            return [race.measure(server, **crews, attempts=effort.attempts, console=console)]


def missing_tools(parts: list[str]) -> list[str]:
    """What the parts need and this checkout lacks, each with how to get it."""
    needs = [(VERSITYGW, "is built by `make bench`, which needs Go (https://go.dev/dl, or Debian's golang-go)")]
    if "transfer" in parts:
        needs += [(REFERENCES / name, "is installed by `make bench`") for name in ("python", "s5cmd", "aws")]
    return [f"{tool} is missing: it {remedy}" for tool, remedy in needs if not tool.exists()]


if __name__ == "__main__":
    sys.exit(main())
