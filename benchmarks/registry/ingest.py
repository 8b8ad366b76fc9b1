"""What ingesting photos costs, on a fast S3 server of this machine: `make bench`, or this file.

- transfer: reading, hashing and sending photos that an earlier dataset describes already, compared with `s5cmd cp` of
  the same files to the same server, in turns. Nothing is decoded here, as s5cmd decodes nothing.
- whole: the same with decoding and measuring, for new photos.
- again: the same photos once more, of which none is sent.
- stages (`--stages`, nothing else then): processor time of each step alone, in one thread, a photo.
- memory: the highest of a process that ingests, at a fifth of the photos and at all of them.

Ends with 1 if memory grows by more than a few rows a photo; times are judged, but depend on the machine.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine, Spread, paired
from benchmarks.support.memory import children_peaks, peak_bytes, processor_seconds
from benchmarks.support.registry.contestants import REFERENCES, missing_s3_tools
from benchmarks.support.s3_server import Bucket, S3Server, s3_server
from benchmarks.support.workers import Member
from imaging import decode
from imaging import measure as measured
from registry.encoding import sha256_hex
from registry.store.memory_store import MemoryStore
from training.dataset import Base, Manifest, ingest_from
from training.dataset.sources import Candidate, FolderSource
from training.dataset.splits.split import SplitBy
from training.dataset.splits.split_assignment import place

PROMISE: Final = 0.8
"""Of s5cmd's speed, for the transfer part."""

WHOLE_PROMISE: Final = 1_000
"""Photos a second with decoding."""

REFERENCE_TIMES: Final = 1.5
"""How much faster s5cmd must be than that before anything is concluded: alone on two cores it is twice as fast."""

ROWS_A_PHOTO: Final = 6_000
"""Bytes by which memory may grow for a photo: a row, and what is remembered and compared of it. A photo has more."""

TIMEOUT_SECONDS: Final = 3 * 3600.0
SIDE: Final = 96
"""Of photos, in pixels, unless said otherwise: 4.6 kB, where each costs most. 400 pixels are 30 kB, 560 are 60."""

S5CMD, TRANSFER, WHOLE, AGAIN = "s5cmd cp", "petpark, transfer part", "petpark, with decoding", "petpark, once more"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One ingestion, in its own process."""

    seconds: float
    processor_seconds: float  # with the processes that decode
    photos: int
    sent: int
    peak_bytes: int  # with theirs


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was found out."""

    photos: int
    bytes_each: float
    rates: Mapping[str, Spread]  # photos a second
    ratio: Spread  # of the transfer part to s5cmd, pair by pair
    whole_ratio: Spread  # the same with decoding
    milliseconds: Spread  # of processor a photo, with decoding
    peaks: Mapping[int, int]  # bytes, by number of photos

    @property
    def growth(self) -> float:
        """Bytes of memory a photo."""
        (few, low), (many, high) = sorted(self.peaks.items())
        return (high - low) / (many - few)

    @property
    def holds(self) -> bool:
        """Whether memory is as flat as promised."""
        return self.growth <= ROWS_A_PHOTO

    def _judged(self, promise: int) -> str:
        """Nothing is concluded where the reference itself hardly gets there: the machine has other work."""
        if self.rates[S5CMD].median < REFERENCE_TIMES * promise:
            return "the machine was too busy to tell"
        return "kept" if self.rates[WHOLE].median >= promise else "missed"

    def table(self) -> Table:
        """For people."""
        table = Table(title=f"{self.photos:,} photos of {self.bytes_each / 1000:.1f} kB", title_justify="left")
        for column in ("", "photos a second: median (lowest–highest)", "of s5cmd"):
            table.add_column(column, justify="right" if column else "left", no_wrap=True)
        for name, rate in self.rates.items():
            table.add_row(name, str(rate), f"{rate.median / self.rates[S5CMD].median:.2f}")
        return table

    def verdicts(self) -> list[str]:
        """Each promise, and whether it was kept."""
        peaks = ", ".join(f"{peak / 2**20:.0f} MiB at {count:,}" for count, peak in sorted(self.peaks.items()))
        return [
            f"transfer part: {self.ratio} of s5cmd's speed, pair by pair"
            f" (promise: ≥ {PROMISE:g}, {'kept' if self.ratio.median >= PROMISE else 'missed'})",
            f"with decoding: {self.rates[WHOLE].median:,.0f} photos a second, {self.whole_ratio} of s5cmd's speed, with"
            f" {self.milliseconds} ms of processor a photo (promise: ≥ {WHOLE_PROMISE:,} a second on two cores,"
            f" {self._judged(WHOLE_PROMISE)})",
            f"memory: {peaks}; {self.growth / 1000:.1f} kB more a photo"
            f" (promise: ≤ {ROWS_A_PHOTO / 1000:g} kB, {'kept' if self.holds else 'missed'})",
        ]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5_000, help="photos (5,000)")
    parser.add_argument("--side", type=int, default=SIDE, help=f"of the photos, in pixels ({SIDE})")
    parser.add_argument("--trials", type=int, default=3, help="of each (3)")
    parser.add_argument("--directory", type=Path, help="where the temporary folder with all photos is made")
    parser.add_argument("--stages", action="store_true", help="only measure CPU time of each step")
    parser.add_argument("--json", action="store_true", help="the same facts for programs")
    options = parser.parse_args()
    if missing := missing_s3_tools():
        print("\n".join(missing), file=sys.stderr)
        return 2
    machine = Machine.here()
    show = Console(quiet=options.json, width=None if sys.stdout.isatty() else 140, highlight=False)
    show.print(str(machine))
    with tempfile.TemporaryDirectory(prefix="petpark-bench-", dir=options.directory) as name:
        directory = Path(name)
        say = Console(stderr=True)
        with say.status(f"drawing {options.count:,} photos"):
            few, many = options.count // 5, options.count
            for count in (few, many):
                draw(directory / f"{count}", count, side=options.side)
        with s3_server(directory / "buckets") as server:
            os.environ.update(server.environment())  # for the processes that are started
            if options.stages:
                show.print(stages(directory / f"{many}", server.bucket("stages")))
                return 0
            figures = measure(server, directory, few=few, many=many, trials=options.trials, console=say)
    show.print("", figures.table(), *figures.verdicts(), sep="\n")
    if options.json:
        print(json.dumps({"machine": asdict(machine), **asdict(figures), "growth": figures.growth}, indent=2))
    return 0 if figures.holds else 1


def draw(directory: Path, count: int, *, side: int) -> None:
    """Photos of two classes, no two alike."""
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (12, 12, 3)).astype(np.uint8)
        path = directory / ("cat", "dog")[number % 2] / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(path, "JPEG", quality=95)


def measure(server: S3Server, directory: Path, *, few: int, many: int, trials: int, console: Console) -> Figures:
    """Every way in turns, each trial into a bucket of its own."""
    source = directory / str(many)
    with console.status("describing the photos, for the transfer part"):
        known = directory / "known.jsonl"
        known.write_bytes(ingest_from(FolderSource(source), MemoryStore(), seed=1).manifest.to_bytes())
    rates: dict[str, list[float]] = {name: [] for name in (S5CMD, TRANSFER, WHOLE, AGAIN)}
    peaks: dict[int, int] = {}
    milliseconds: list[float] = []
    for trial in range(trials):
        with console.status(f"trial {trial + 1} of {trials}"):
            first, second, third = (server.bucket(f"bench-{trial}-{place}") for place in ("theirs", "ours", "whole"))
            rates[S5CMD].append(many / copy(source, first))
            for name, bucket, base in ((TRANSFER, second, known), (WHOLE, third, None), (AGAIN, third, None)):
                run = in_a_process(source, bucket, base)
                assert run.sent == (0 if name == AGAIN else many), run
                rates[name].append(run.photos / run.seconds)
                if name == WHOLE:
                    milliseconds.append(run.processor_seconds / many * 1000)
                    peaks[many] = max(peaks.get(many, 0), run.peak_bytes)
    with console.status("memory"):
        peaks[few] = in_a_process(directory / str(few), server.bucket("bench-few"), None).peak_bytes
    sizes = [path.stat().st_size for path in source.rglob("*.jpg")]
    return Figures(
        photos=many,
        bytes_each=sum(sizes) / len(sizes),
        rates={name: Spread.of(values) for name, values in rates.items()},
        ratio=paired(rates[TRANSFER], rates[S5CMD]),
        whole_ratio=paired(rates[WHOLE], rates[S5CMD]),
        milliseconds=Spread.of(milliseconds),
        peaks=peaks,
    )


def stages(source: Path, bucket: Bucket) -> Table:
    """CPU microseconds per photo of each step alone; the best of three, because other work only adds time."""
    store = bucket.store()
    read = list(FolderSource(source))
    data = [each.read() for each in read if isinstance(each, Candidate)]
    manifest = ingest_from(FolderSource(source), MemoryStore(), seed=1).manifest
    names = itertools.count()
    steps: dict[str, Callable[[], object]] = {
        "list and read": lambda: [each.read() for each in FolderSource(source) if isinstance(each, Candidate)],
        "SHA-256": lambda: [sha256_hex(body) for body in data],
        "decode to 128 x 128 pixels": lambda: [decode(body, 128) for body in data],
        "decode and measure": lambda: [measured(body) for body in data],
        "send, one thread": lambda: list(store.create_each((f"{next(names)}", body) for body in data)),
        "assign splits": lambda: place(manifest.photos, seed=1, by=SplitBy.CAMERA, base=()),
        "write the manifest": manifest.to_bytes,
        "write and read the manifest": lambda: Manifest.from_bytes(manifest.to_bytes()),
    }
    table = Table(title=f"{len(data):,} photos, each step alone", title_justify="left")
    for column in ("", "CPU, µs per photo"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name, work in steps.items():
        spent: list[float] = []
        for _ in range(3):
            used = time.process_time()
            work()
            spent.append(time.process_time() - used)
        table.add_row(name, f"{min(spent) / len(data) * 1e6:.0f}")
    return table


def copy(source: Path, bucket: Bucket) -> float:
    """Seconds that s5cmd takes, its start included: a few hundredths."""
    command = [str(REFERENCES / "s5cmd"), "--log", "error", "cp", f"{source}/*", f"s3://{bucket.name}/photos/"]
    began = time.perf_counter()
    subprocess.run(command, check=True, timeout=TIMEOUT_SECONDS)
    return time.perf_counter() - began


def in_a_process(source: Path, bucket: Bucket, base: Path | None) -> Run:
    """Ingest in a process that does nothing else, so that its memory is the ingestion's."""
    with Member(multiprocessing.get_context("spawn"), partial(ingest_once, source, bucket, base)) as member:
        return member.answer(TIMEOUT_SECONDS)


def ingest_once(source: Path, bucket: Bucket, base: Path | None) -> Run:
    """Ingest and take the time and the highest memory; not that of starting Python, nor of reading the base."""
    before = None if base is None else Base(manifest=Manifest.from_bytes(base.read_bytes()))
    store = bucket.store()
    began, used = time.perf_counter(), processor_seconds()
    with children_peaks() as peaks:
        found = ingest_from(FolderSource(source), store, seed=1, base=before)
    return Run(
        seconds=time.perf_counter() - began,
        processor_seconds=processor_seconds() - used,
        photos=len(found.manifest.photos),
        sent=found.added,
        peak_bytes=peak_bytes() + sum(peaks.values()),
    )


if __name__ == "__main__":
    sys.exit(main())
