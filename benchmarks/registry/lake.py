"""100,000 photos of 20 fixed cameras from a folder to a dataset that may be trained on: `make bench`, or this file.

Drawn photos go through ingestion, quality report and leak check, each in a process of its own, with the data lake on a
fast S3 server of this machine. Printed are seconds, processor seconds (with the processes that decode), photos a second
and the highest memory of each stage, at a tenth of the photos and at all of them. Reference: `s5cmd cp` of the same
files to the same server.

Ends with 1 if a stage takes more memory than promised. Seconds are judged only where the machine is quiet: with more
than one runnable process a core before, nothing is concluded of them (status 3).
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.accuracy import scenes
from benchmarks.support.figures import Machine
from benchmarks.support.memory import children_peaks, peak_bytes, processor_seconds
from benchmarks.support.registry.contestants import REFERENCES
from benchmarks.support.s3_server import VERSITYGW, Bucket, s3_server
from benchmarks.support.workers import Member
from training.dataset import ingest_from, load_manifest
from training.dataset.index import read_index
from training.dataset.sources import FolderSource
from training.dataset.splits.leakage import find_leaks
from training.plan import DataGates

MOST_BYTES: Final = 1.5e9
MOST_SECONDS: Final = 600.0
PATIENCE: Final = 3 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one of them took."""

    name: str
    photos: int
    seconds: float
    processor_seconds: float
    peak_bytes: int
    found: str


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="photos (100,000)")
    parser.add_argument("--networks", action="store_true", help="the report doubts labels, for which networks train")
    parser.add_argument("--directory", type=Path, help="where the temporary folder with all photos is made")
    parser.add_argument("--json", action="store_true", help="the same facts for programs")
    options = parser.parse_args()
    if missing := [tool for tool in (VERSITYGW, REFERENCES / "s5cmd") if not tool.exists()]:
        print("\n".join(f"{tool} is missing: `make bench` makes it" for tool in missing), file=sys.stderr)
        return 2
    machine = Machine.here()
    show = Console(quiet=options.json, width=None if sys.stdout.isatty() else 140, highlight=False)
    show.print(str(machine))
    with tempfile.TemporaryDirectory(prefix="petpark-bench-", dir=options.directory) as name:
        directory = Path(name)
        stages = [
            stage
            for count in (options.count // 10, options.count)
            for stage in measure(directory / f"{count}", count, networks=options.networks, show=show)
        ]
    if options.json:
        print(json.dumps({"machine": asdict(machine), "stages": [asdict(stage) for stage in stages]}, indent=2))
    most = max(stage.peak_bytes for stage in stages)
    small = most <= MOST_BYTES
    show.print(f"memory: {most / 1e9:.2f} GB (promise: ≤ {MOST_BYTES / 1e9:g}, {'kept' if small else 'missed'})")
    last = sum(stage.seconds for stage in stages if stage.photos == options.count and stage.name in STAGES)
    if machine.load > machine.cores:
        show.print(f"{last:.0f} s in all, of which nothing is concluded: the machine is busy")
        return 3 if small else 1
    quick = last <= MOST_SECONDS
    show.print(f"{last:.0f} s in all (promise: ≤ {MOST_SECONDS:g}, {'kept' if quick else 'missed'})")
    return 0 if small and quick else 1


def measure(directory: Path, count: int, *, networks: bool, show: Console) -> Sequence[Stage]:
    """Draw photos, and take them through all stages."""
    directory.mkdir()
    began = time.perf_counter()
    index = scenes.draw(directory / "drawn", count)
    photos = index.parent / "photos"
    show.print(f"\n{count:,} photos drawn in {time.perf_counter() - began:.0f} s")
    with s3_server(directory / "buckets") as server:
        os.environ.update(server.environment())  # for the processes that are started
        bucket, theirs = server.bucket("lake"), server.bucket("theirs")
        found = [in_a_process("s5cmd cp", count, partial(copy, photos, theirs))]
        for name, work in STAGES.items():
            found.append(in_a_process(name, count, partial(work, photos, index, bucket, networks)))
            show.print(f"  {name}: {found[-1].found}")
    table = Table(title=f"{count:,} photos", title_justify="left")
    for column in ("", "s", "processor s", "photos/s", "MB"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for each in found:
        table.add_row(
            each.name,
            f"{each.seconds:.1f}",
            f"{each.processor_seconds:.1f}",
            f"{count / each.seconds:,.0f}",
            f"{each.peak_bytes / 1e6:.0f}",
        )
    show.print(table)
    return found


def copy(photos: Path, bucket: Bucket) -> str:
    """The reference: nothing but sending."""
    command = [str(REFERENCES / "s5cmd"), "--log", "error", "cp", f"{photos}/*", f"s3://{bucket.name}/photos/"]
    subprocess.run(command, check=True, timeout=PATIENCE)
    return ""


def ingestion(photos: Path, index: Path, bucket: Bucket, networks: bool) -> str:  # noqa: ARG001 - tasks are called alike
    """`petpark data ingest`."""
    rows = read_index(index.name, index.read_bytes())
    found = ingest_from(FolderSource(photos), bucket.store(), seed=1, index=rows)
    (index.parent / "dataset").write_text(found.sha256)
    return f"{len(found.manifest.photos):,} photos in the dataset, {len(found.skipped):,} left out"


def report(photos: Path, index: Path, bucket: Bucket, networks: bool) -> str:  # noqa: ARG001 - tasks are called alike
    """`petpark data report`."""
    from training.quality.examine import examine  # PyTorch, which the other stages do without

    lake = bucket.store()
    manifest = load_manifest(lake, (index.parent / "dataset").read_text())
    now = datetime.now(UTC)
    made = examine(lake, manifest, skipped=None, gates=DataGates(), by="", at=now, labels=networks)
    return f"{sum(result.passed is True for result in made.results)} of {len(made.results)} gates passed"


def leak_check(photos: Path, index: Path, bucket: Bucket, networks: bool) -> str:  # noqa: ARG001 - tasks are called alike
    """What a training does before it begins."""
    found = find_leaks(load_manifest(bucket.store(), (index.parent / "dataset").read_text()))
    return f"{found.pairs:,} pairs leak"


STAGES: Final[dict[str, Callable[[Path, Path, Bucket, bool], str]]] = {
    "ingest": ingestion,
    "report": report,
    "leak check": leak_check,
}


def in_a_process(name: str, photos: int, work: Callable[[], str]) -> Stage:
    """Do it in a process that does nothing else, so that its memory is the stage's."""
    with Member(multiprocessing.get_context("spawn"), partial(taken, name, photos, work)) as member:
        return member.answer(PATIENCE)


def taken(name: str, photos: int, work: Callable[[], str]) -> Stage:
    """What `work` takes, the processes that it starts included: of their memory, pages that they share count twice."""
    began, before = time.perf_counter(), processor_seconds()
    with children_peaks() as peaks:
        found = work()
    return Stage(
        name=name,
        photos=photos,
        seconds=time.perf_counter() - began,
        processor_seconds=processor_seconds() - before,
        peak_bytes=peak_bytes() + sum(peaks.values()),
        found=found,
    )


if __name__ == "__main__":
    sys.exit(main())
