"""How near the endpoint comes to what the machine can do, and to its peers: `python benchmarks/serving.py`.

Limit: the same decode and the same model in a loop, one process a core, no HTTP. Ours: `python -m serving`, which
follows a store on this machine. Granian alone: its HTTP server with decode and model and nothing else, as one process
with a thread a core, and as one process a core; the rest of the way to the limit is not ours to save. Peers: the same
model in FastAPI, KServe, LitServe and BentoML (`.venv-benchmarks`, by `make bench`), one process a core, with the
Pillow decode that their users write. All are loaded by wrk on the same machine (Debian package `wrk`), which takes its
share of the cores.

Each round starts every server anew and loads it over 1, 8 and 32 connections, so that a busy neighbour meets all;
medians with their extremes are shown, and ratios within rounds. Processor time a photo tells contestants apart on a
machine that is never quiet. Ends with 1 if a request failed at ours; times are judged, but depend on the machine.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.bare import KINDS, bare
from benchmarks.support.bare import question as bare_question
from benchmarks.support.classifier import make_model, make_photo, version_files
from benchmarks.support.figures import Machine, Spread, paired
from benchmarks.support.limit import Limit, limit
from benchmarks.support.peer import PEERS, Peer, Question
from benchmarks.support.service import Service
from benchmarks.support.stand import Stand, stand
from benchmarks.support.wrk import Load, load
from serving.settings import usable_cores

CONNECTIONS = (1, 8, 32)
OURS = "petpark"
OF_LIMIT, OF_BEST_PEER, OVER_LIMIT_MS = 0.9, 2.0, 0.6
"""The promises: share of the limit and of the best peer at 8 connections, and the wait at 1."""


@dataclass(kw_only=True)
class Contestant:
    """A server, and what was seen of it round by round."""

    name: str
    server: Service
    question: Question
    peer: bool = False
    loads: dict[int, list[Load]] = field(default_factory=lambda: {connections: [] for connections in CONNECTIONS})
    start: list[float] = field(default_factory=list[float])
    memory: list[float] = field(default_factory=list[float])

    def meet(self, directory: Path, seconds: int) -> None:
        """One round."""
        with self.server:
            self.start.append(self.server.start_seconds)
            load(self.server, self.question, directory, connections=2, seconds=1)  # warms it up
            for connections, runs in self.loads.items():
                runs.append(load(self.server, self.question, directory, connections=connections, seconds=seconds))
            self.memory.append(self.server.usage().pss_mb)

    def rates(self, connections: int) -> list[float]:
        """Good answers a second, round by round."""
        return [run.per_second for run in self.loads[connections]]

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return sum(run.failed for runs in self.loads.values() for run in runs)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, help="a JPEG; by default a noisy one of 640×480 is made")
    parser.add_argument("--model", type=Path, help="an ONNX file to the contract; by default mobilenet_v3_small")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run")
    parser.add_argument("--rounds", type=int, default=3)
    names = ",".join(peer.name.lower() for peer in PEERS)
    parser.add_argument("--peers", default=names, help="some of %(default)s; empty: none")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("wrk is not installed; on Debian: apt-get install wrk")
    asked = [name for name in options.peers.lower().split(",") if name]
    if unknown := set(asked) - set(names.split(",")):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; there are {names}")
    peers = [peer for peer in PEERS if peer.name.lower() in asked]
    show = Console(width=None if sys.stdout.isatty() else 130, highlight=False)
    show.print(str(Machine.here()), *(f"{peer.name} {peer.version or 'MISSING'}" for peer in peers), sep=", ")
    if missing := [peer.name for peer in peers if peer.version is None]:
        show.print(f"not measured, for `make bench` did not install them: {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="petpark-bench-") as name:
        directory = Path(name)
        model = options.model or make_model(directory / "model.onnx")
        photo = directory / "photo.jpg"
        photo.write_bytes(options.photo.read_bytes() if options.photo else make_photo())
        with stand(directory) as at:
            here = [peer for peer in peers if peer.version is not None]
            entrants = contestants(at, here, model, photo, directory)
            together, alone = race(entrants, model, photo, directory, seconds=options.seconds, rounds=options.rounds)
    show.print(f"photo of {photo_size(entrants):,} bytes, {options.rounds} rounds of {options.seconds} s")
    return report(entrants, together, alone, show)


def contestants(at: Stand, peers: Sequence[Peer], model: Path, photo: Path, directory: Path) -> list[Contestant]:
    """Ours first."""
    at.promote(at.publish(version_files(model, photo, directory / "version"), run="benchmark"))
    data = photo.read_bytes()
    ours = Question(path="/v1/classify", content_type="image/jpeg", body=data)
    entrants = [Contestant(name=OURS, server=at.endpoint("endpoint"), question=ours)]
    for kind in KINDS:
        server = bare(model, kind, directory / f"bare-{kind}.txt")
        entrants.append(Contestant(name=f"Granian alone, {kind}", server=server, question=bare_question(data)))
    for peer in peers:
        server = peer.service(model, directory / peer.package, workers=usable_cores())
        entrants.append(Contestant(name=peer.name, server=server, question=peer.question(data), peer=True))
    return entrants


def photo_size(entrants: Sequence[Contestant]) -> int:
    """Bytes of the photo, as ours gets it."""
    return len(entrants[0].question.body)


def race(
    entrants: Sequence[Contestant], model: Path, photo: Path, directory: Path, *, seconds: int, rounds: int
) -> tuple[list[Limit], list[Limit]]:
    """Take turns; give the limits of all cores, and of one call alone."""
    together: list[Limit] = []
    alone: list[Limit] = []
    for number in range(rounds):
        together.append(limit(model, photo, processes=usable_cores(), seconds=seconds))
        alone.append(limit(model, photo, processes=1, seconds=seconds))
        first = number % len(entrants)  # nobody is always the last, nor always next to the limit
        for entrant in (*entrants[first:], *entrants[:first]):
            entrant.meet(directory, seconds)
    return together, alone


def report(entrants: Sequence[Contestant], together: Sequence[Limit], alone: Sequence[Limit], show: Console) -> int:
    """Print; 1 where ours failed a request."""
    most = [run.per_second for run in together]
    rates = Table(
        *("", "photos/s", "of the limit", "p50, ms", "p99, ms", "processor ms a photo", "failed"),
        title="median (least–most)",
        title_justify="left",
    )
    cpu = Spread.of([run.cpu_ms for run in together])
    rates.add_row(f"limit, {usable_cores()} processes", str(Spread.of(most)), "", "", "", str(cpu), "")
    single = [run.p50_ms for run in alone]
    rates.add_row("limit, one call alone", "", "", str(Spread.of(single)), "", "", "")
    for connections in CONNECTIONS:
        rates.add_section()
        for entrant in entrants:
            runs = entrant.loads[connections]
            rates.add_row(
                f"{entrant.name}, {connections} conn.",
                str(Spread.of(entrant.rates(connections))),
                str(paired(entrant.rates(connections), most)),
                str(Spread.of([run.p50_ms for run in runs])),
                str(Spread.of([run.p99_ms for run in runs])),
                str(Spread.of([run.cpu_ms for run in runs])),
                str(sum(run.failed for run in runs)),
            )
    sizes = Table("", "start to ready, s", "memory (PSS of all processes), MB")
    for entrant in entrants:
        sizes.add_row(entrant.name, str(Spread.of(entrant.start)), str(Spread.of(entrant.memory)))
    show.print("", rates, "", sizes, "", *verdicts(entrants, most, single), sep="\n")
    show.print(f"load after {os.getloadavg()[0]:.1f}")
    return 1 if entrants[0].failed else 0


def verdicts(entrants: Sequence[Contestant], most: Sequence[float], single: Sequence[float]) -> list[str]:
    """The promises, each within rounds."""
    ours, peers = entrants[0], [entrant for entrant in entrants if entrant.peer]
    share = paired(ours.rates(8), most)
    over = Spread.of([run.p50_ms - one for run, one in zip(ours.loads[1], single, strict=True)])
    said = [
        f"throughput at 8 connections: {share} of the limit (promise: ≥ {OF_LIMIT}, {_kept(share.median >= OF_LIMIT)})",
        f"p50 at 1 connection: limit + {over} ms"
        f" (promise: ≤ {OVER_LIMIT_MS} ms more, {_kept(over.median <= OVER_LIMIT_MS)})",
    ]
    for bare_server in (entrant for entrant in entrants[1:] if not entrant.peer):
        left = paired(ours.rates(8), bare_server.rates(8))
        more = Spread.of([a.p50_ms - b.p50_ms for a, b in zip(ours.loads[1], bare_server.loads[1], strict=True)])
        said.append(f"{left} of {bare_server.name} at 8 connections; p50 at 1 connection {more} ms more than it")
    if not peers:
        return [*said, "no peer was measured, so nothing is said of them"]
    best = max(peers, key=lambda peer: Spread.of(peer.rates(8)).median)
    ratio = paired(ours.rates(8), best.rates(8))
    return [
        *said,
        f"{ratio} × the best of {', '.join(peer.name for peer in peers)}, {best.name}"
        f" (promise: ≥ {OF_BEST_PEER:g}, {_kept(ratio.median >= OF_BEST_PEER)})",
    ]


def _kept(holds: bool) -> str:
    return "kept" if holds else "missed"


if __name__ == "__main__":
    sys.exit(main())
