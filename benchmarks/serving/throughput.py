"""How near the endpoint comes to what the machine can do, and to its peers: `python benchmarks/serving/throughput.py`.

Limit: the same decode and the same model in a loop, one process a core, no HTTP. Ours: `python -m serving`, which
follows a store on this machine. Granian alone: its HTTP server with decode and model and nothing else, as one process
with a thread a core, and as one process a core; the rest of the way to the limit is not ours to save. Peers: the same
model in FastAPI, KServe, LitServe and BentoML (`.venv-benchmarks`, by `make bench`), one process a core, each with the
Pillow decode of its documentation and with a tuned one (`Image.draft`). All are loaded by wrk on the same machine
(Debian package `wrk`), which takes its share of the cores, with photos of three sizes: 640×480, of a surveillance
camera (1920×1080) and of a phone (4032×3024).

Each round starts every server anew; each load has a limit measured just before it, and ratios are within such pairs.
Medians with their extremes are shown. Processor time and context switches a photo tell contestants apart on a machine
that is never quiet. Nothing is concluded where a server was faster than its limit, or where the limit moved: that is
others' work. Ends with 1 if a request failed at ours, and with 3 where something was not concluded.
"""

import argparse
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine, Spread
from benchmarks.support.serving.classifier import make_model, make_photo, version_files
from benchmarks.support.serving.endpoint_fixture import Fixture, endpoint_fixture
from benchmarks.support.throughput.bare import KINDS, bare
from benchmarks.support.throughput.bare import question as bare_question
from benchmarks.support.throughput.contest import Contestant, noise, verdict
from benchmarks.support.throughput.limit import Loops
from benchmarks.support.throughput.peer import DOCUMENTED, PEERS, TUNED, WAYS, Peer, Question
from serving.settings import usable_cores

OURS = "petpark"
SIZES = {"640x480": (640, 480), "1920x1080": (1920, 1080), "4032x3024": (4032, 3024)}
ONE, MANY = 1, 8
OF_LIMIT, OVER_LIMIT_MS, SWITCHES, OF_DOCUMENTED, OF_TUNED = 0.88, 0.6, 14.0, 2.0, 1.0
"""The promises: share of the limit at 8 connections, the wait beyond it at 1, context switches a photo, and how many
times the best peer of each kind."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default=",".join(SIZES), help="some of %(default)s")
    parser.add_argument("--photo", type=Path, help="a JPEG, instead of those that are made")
    parser.add_argument("--model", type=Path, help="an ONNX file to the contract; by default mobilenet_v3_small")
    parser.add_argument("--of-limit", type=float, default=OF_LIMIT, help="the promise for this model: %(default)s")
    parser.add_argument("--connections", default="1,8", help="1 and 8 are judged: %(default)s")
    parser.add_argument("--seconds", type=int, default=3, help="length of one run")
    parser.add_argument("--rounds", type=int, default=3)
    names = ",".join(peer.name.lower() for peer in PEERS)
    parser.add_argument("--peers", default=names, help="some of %(default)s; empty: none")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("wrk is not installed; on Debian: apt-get install wrk")
    asked = [name for name in options.peers.lower().split(",") if name]
    sizes: list[str] = options.photos.split(",")
    if unknown := (set(asked) - set(names.split(","))) | (set(sizes) - set(SIZES)):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {names} and {', '.join(SIZES)}")
    peers = [peer for peer in PEERS if peer.name.lower() in asked]
    connections = sorted({ONE, MANY, *map(int, options.connections.split(","))})
    show = Console(width=None if sys.stdout.isatty() else 190, highlight=False)
    show.print(str(Machine.here()), *(f"{peer.name} {peer.version or 'MISSING'}" for peer in peers), sep=", ")
    if missing := [peer.name for peer in peers if peer.version is None]:
        show.print(f"not measured, for `make bench` did not install them: {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="petpark-bench-") as name:
        directory = Path(name)
        model = options.model or make_model(directory / "model.onnx")
        photos = [options.photo] if options.photo else [made(directory, size) for size in sizes]
        with endpoint_fixture(directory) as at, Loops(model, processes=usable_cores()) as loops:
            here = [peer for peer in peers if peer.version is not None]
            entrants = contestants(at, here, model, photos, directory)
            for number in range(options.rounds):
                first = number % len(entrants)  # nobody is always the last
                for entrant in (*entrants[first:], *entrants[:first]):
                    entrant.meet(loops, connections, directory, cores=usable_cores(), seconds=options.seconds)
        show.print(f"{options.rounds} rounds of {options.seconds} s; median (least–most)")
        concluded = [report(entrants, photo, connections, show, of_limit=options.of_limit) for photo in photos]
    sizes_of(entrants, show)
    show.print(f"load after {os.getloadavg()[0]:.1f}")
    return 1 if entrants[0].failed else 0 if all(concluded) else 3


def made(directory: Path, size: str) -> Path:
    """A photo of one of `SIZES`."""
    photo = directory / f"{size}.jpg"
    photo.write_bytes(make_photo(*SIZES[size]))
    return photo


def contestants(
    at: Fixture, peers: Sequence[Peer], model: Path, photos: Sequence[Path], directory: Path
) -> list[Contestant]:
    """Ours first."""
    at.promote(at.publish(version_files(model, photos[0], directory / "version"), run="benchmark"))
    data = {photo: photo.read_bytes() for photo in photos}
    ours = {
        photo: Question(path="/v1/classify", content_type="image/jpeg", body=content) for photo, content in data.items()
    }
    entrants = [Contestant(name=OURS, server=at.endpoint("endpoint"), questions=ours)]
    for kind in KINDS:
        server = bare(model, kind, directory / f"bare-{kind}.txt")
        questions = {photo: bare_question(content) for photo, content in data.items()}
        entrants.append(Contestant(name=f"Granian alone, {kind}", server=server, questions=questions))
    for way in WAYS:
        for peer in peers:
            server = peer.service(model, directory / f"{peer.package}-{way}", workers=usable_cores(), way=way)
            questions = {photo: peer.question(content) for photo, content in data.items()}
            entrants.append(Contestant(name=f"{peer.name}, {way}", server=server, questions=questions, way=way))
    return entrants


def report(
    entrants: Sequence[Contestant], photo: Path, connections: Sequence[int], show: Console, *, of_limit: float
) -> bool:
    """Print what was seen with one photo; False if something could not be concluded."""
    size = len(entrants[0].questions[photo].body)
    title = f"{photo.stem}, {size:,} bytes"
    rates = Table(
        *("", "photos/s", "of the limit", "p50, ms", "beyond limit", "p99, ms", "cpu ms", "switches", "failed"),
        title=title,
        title_justify="left",
    )
    for count in connections:
        rates.add_section()
        for entrant in entrants:
            pairs = entrant.pairs[photo, count]
            cells = (
                [pair.load.per_second for pair in pairs],
                [pair.share for pair in pairs],
                [pair.load.p50_ms for pair in pairs],
                [pair.over_ms for pair in pairs],
                [pair.load.p99_ms for pair in pairs],
                [pair.load.cpu_ms for pair in pairs],
                [pair.load.switches for pair in pairs],
            )
            failed = sum(pair.load.failed for pair in pairs)
            rates.add_row(f"{entrant.name}, {count} conn.", *(str(Spread.of(cell)) for cell in cells), str(failed))
    lines, reasons = verdicts(entrants, photo, of_limit=of_limit)
    show.print("", rates, *lines, *(f"noise: {reason}" for reason in reasons), sep="\n")
    return not reasons


def verdicts(entrants: Sequence[Contestant], photo: Path, *, of_limit: float) -> tuple[list[str], list[str]]:
    """The promises, each within rounds, and why nothing can be concluded where that is so."""
    ours = entrants[0]
    many = {f"{each.name} at {MANY} connections": each.pairs[photo, MANY] for each in entrants}
    reasons = noise(many) + noise({f"{OURS} at 1 connection": ours.pairs[photo, ONE]})
    shares = ours.shares(photo, MANY)
    over = [pair.over_ms for pair in ours.pairs[photo, ONE]]
    switches = [pair.load.switches for pair in ours.pairs[photo, MANY]]
    told = {
        f"of the limit at {MANY} connections": (shares, of_limit, True),
        "p50 at 1 connection beyond the limit, ms": (over, OVER_LIMIT_MS, False),
        f"context switches a photo at {MANY} connections": (switches, SWITCHES, False),
    }
    for way, promise in ((DOCUMENTED, OF_DOCUMENTED), (TUNED, OF_TUNED)):
        peers = [entrant for entrant in entrants if entrant.way == way]
        if peers:
            best = max(peers, key=lambda peer: Spread.of(peer.shares(photo, MANY)).median)
            ratio = [
                mine / other if other else math.inf
                for mine, other in zip(shares, best.shares(photo, MANY), strict=True)
            ]
            told[f"× the best peer {way}, {best.name}"] = ratio, promise, True
    lines = [
        f"{what}: {verdict(values, promise=promise, at_least=at_least, reasons=reasons)}"
        for what, (values, promise, at_least) in told.items()
    ]
    if not any(entrant.way for entrant in entrants):
        lines.append("no peer was measured, so nothing is said of them")
    return lines, reasons


def sizes_of(entrants: Sequence[Contestant], show: Console) -> None:
    """Print how long each takes to start, and its memory."""
    sizes = Table("", "start to ready, s", "memory (PSS of all processes), MB")
    for entrant in entrants:
        sizes.add_row(entrant.name, str(Spread.of(entrant.start)), str(Spread.of(entrant.memory)))
    show.print("", sizes, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
