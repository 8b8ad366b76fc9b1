"""The cost of fsck and gc of a registry: `make bench BENCH=benchmarks/registry/upkeep.py`, or this file.

fsck, gc, the proof of a channel's history and `rollback --to`, for registries that grow tenfold and tenfold again, in
a store in memory in which every request takes 25 ms. Printed are requests, depth (the longest chain of requests, of
which each was sent after one had returned), seconds, processor seconds, and how far memory grew. Every run is a process
of its own. The reference is the minimum depth of any reader: one listing, and then everything else at once.

Ends with 1 if the largest takes more than two minutes, or memory grows by more than is promised.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine
from benchmarks.support.registry.entries import a_version
from benchmarks.support.registry.slow_store import PAGE, SlowStore
from petpark.models.history import prove_history
from registry.certificates.certificate import Certificates
from registry.channels.channel import Channel, ChannelEntry
from registry.encoding import sha256_hex
from registry.layout.model_store import blob_key, channel_entry_key, version_key
from registry.maintenance.fsck import inspect
from registry.maintenance.garbage_collection import Collector
from registry.store.memory_store import MemoryStore
from registry.version import StoredFile
from tests.registry.memory_keys import MemorySigner, MemoryVerifier

MODEL = "pets"
CHANNEL = "prod"
SIZES = ((100, 1_000), (1_000, 10_000), (10_000, 100_000))
MOST_SECONDS = 120.0
MOST_MB = 32.0
"""Growth for any number of entries, including the data kept per version and blob."""
MOST_KB_AN_ENTRY = 1.0
"""For `rollback --to`: a channel that is about to be moved keeps its entries, to find the one to go back to."""

SIGNER = MemorySigner()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one task on one registry."""

    task: str
    versions: int
    entries: int
    calls: int
    depth: int
    seconds: float
    processor_seconds: float
    grown_mb: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without the largest")
    parser.add_argument("--ms", type=float, default=25.0, help="that each request takes (25)")
    parser.add_argument("--json", action="store_true", help="the same facts for programs")
    options = parser.parse_args()
    console = Console(quiet=options.json, width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(str(Machine.here()), f"{options.ms:g} ms a request", sep=", ")
    costs: list[Cost] = []
    for versions, entries in SIZES[:-1] if options.quick else SIZES:
        registry = filled(versions, entries)
        costs += [apart(registry, name, versions, entries, options.ms / 1000) for name in TASKS]
    console.print(table(costs))
    if options.json:
        print(json.dumps([asdict(cost) for cost in costs], indent=2))
    kept = all(cost.seconds <= MOST_SECONDS and cost.grown_mb <= most_mb(cost) for cost in costs)
    console.print(
        f"at most {MOST_SECONDS:g} s, {MOST_MB:g} MB (rollback: and {MOST_KB_AN_ENTRY:g} KB an entry): "
        f"{'as promised' if kept else 'NOT AS PROMISED'}"
    )
    return 0 if kept else 1


def most_mb(cost: Cost) -> float:
    """By how much memory may grow."""
    return MOST_MB + (cost.entries * MOST_KB_AN_ENTRY / 1024 if cost.task == "rollback --to" else 0)


def table(costs: list[Cost]) -> Table:
    """For people; `limit` is the depth of one listing and one round of requests."""
    shown = Table(title="upkeep", title_justify="left")
    for name in ("task", "versions", "entries", "requests", "depth", "limit", "s", "processor s", "MB more"):
        shown.add_column(name, justify="left" if name == "task" else "right", no_wrap=True)
    for cost in costs:
        shown.add_row(
            cost.task,
            f"{cost.versions:,}",
            f"{cost.entries:,}",
            f"{cost.calls:,}",
            f"{cost.depth:,}",
            f"{1 + -(-cost.entries // PAGE):,}",
            f"{cost.seconds:.1f}",
            f"{cost.processor_seconds:.1f}",
            f"{cost.grown_mb:.0f}",
        )
    return shown


def filled(versions: int, entries: int) -> MemoryStore:
    """A registry: each version with its own file and a certificate, and one channel that was moved over all of them."""
    store = MemoryStore()
    certificates = Certificates(store, MODEL)
    first = a_version(MODEL)
    digests: list[str] = []
    for number in range(1, versions + 1):
        body = str(number).encode()
        file = StoredFile(name="model.onnx", sha256=sha256_hex(body), bytes=len(body))
        version = replace(first, number=number, files=(file,))
        digests.append(version.digest)
        store.create(blob_key(MODEL, file.sha256), body)
        store.create(version_key(MODEL, number), version.to_bytes())
        certificates.sign(
            version, decision="certified", signer=SIGNER, by="vera", report_sha256=None, expires_at=NOW, note=""
        )
    move = Channel(MemoryStore(), MODEL, CHANNEL).move(first, by="mia", why="to make a long log")
    before: ChannelEntry | None = None
    for number in range(1, entries + 1):
        version = 1 + (number - 1) % versions
        move = replace(
            move,
            number=number,
            version=version,
            digest=digests[version - 1],
            previous=before.version if before else None,
            previous_sha256=before.sha256 if before else None,
        )
        store.create(channel_entry_key(MODEL, CHANNEL, number), move.to_bytes())
        before = move
    return store


def fsck(store: SlowStore) -> None:
    """`petpark models fsck`."""
    assert inspect(store, MODEL, verifier=MemoryVerifier(SIGNER)).sound


def gc(store: SlowStore) -> None:
    """`petpark models gc --dry-run`."""
    assert not Collector(store, MODEL).find().old


def history(store: SlowStore) -> None:
    """`petpark models history --verify`."""
    target = SimpleNamespace(store=lambda *_, **__: store, outputs=SimpleNamespace(model_store="models", model=MODEL))
    assert prove_history(cast("Any", target), CHANNEL).sound


def roll_back(store: SlowStore) -> None:
    """`petpark rollback --to`."""
    assert Channel(store, MODEL, CHANNEL).roll_back(by="mia", why="to measure it", to=1).version == 1


TASKS: dict[str, Callable[[SlowStore], None]] = {
    "fsck": fsck,
    "gc": gc,
    "history --verify": history,
    "rollback --to": roll_back,
}


def apart(registry: MemoryStore, task: str, versions: int, entries: int, seconds: float) -> Cost:
    """Run a task in a child process, which inherits the registry."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(theirs, registry, task, seconds))
    process.start()
    theirs.close()
    figures: dict[str, Any] = ours.recv()
    process.join()
    return Cost(task=task, versions=versions, entries=entries, **figures)


def _report(to: Any, registry: MemoryStore, task: str, seconds: float) -> None:
    store = SlowStore(registry, seconds=seconds)
    before = _peak_mb(reset=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    TASKS[task](store)
    took, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    to.send(
        {
            "calls": store.calls,
            "depth": store.depth,
            "seconds": took,
            "processor_seconds": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
            "grown_mb": _peak_mb() - before,
        }
    )


def _peak_mb(*, reset: bool = False) -> float:
    """The most memory that this process had, since the last reset. https://man7.org/linux/man-pages/man5/proc.5.html"""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    sys.exit(main())
