"""100,000 photos of 20 fixed cameras from a folder to a dataset that may be trained on: `make bench`, or this file.

Drawn photos go through ingestion, quality report and leak check, each in its own process, with the data lake on a
fast S3 server of this machine. Printed are seconds, processor seconds (with the processes that decode), photos a second
and the highest memory of each stage, at a tenth of the photos and at all of them. Reference: `s5cmd cp` of the same
files to the same server.

`--keep FOLDER --only STAGE` runs one stage after another, each in its own process, on photos that the first has
drawn into FOLDER; the first is `s5cmd cp`.

Ends with 1 if a stage takes more memory than promised. Seconds are judged only where the machine is quiet: with more
than one runnable process a core before, nothing is concluded of them (status 3).
"""

import argparse
import contextlib
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
from benchmarks.support.registry.contestants import REFERENCES, missing_s3_tools
from benchmarks.support.s3_server import Bucket, s3_server
from benchmarks.support.workers import Member
from training.dataset import ingest_from, load_manifest
from training.dataset.index import read_index
from training.dataset.sources import FolderSource
from training.dataset.splits.leakage import find_leaks
from training.plan import DataGates

MOST_BYTES: Final = 1.5e9
MOST_SECONDS: Final = 600.0
TIMEOUT_SECONDS: Final = 3 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The measurements of one stage."""

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
    parser.add_argument("--keep", type=Path, help="folder for photos and data lake, kept for --only")
    parser.add_argument(
        "--only", choices=[COPY, *STAGES], action="append", help="measure this stage; may be repeated (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="the same facts for programs")
    options = parser.parse_args()
    if missing := missing_s3_tools():
        print("\n".join(missing), file=sys.stderr)
        return 2
    machine = Machine.here()
    show = Console(quiet=options.json, width=None if sys.stdout.isatty() else 140, highlight=False)
    show.print(str(machine))
    wanted = options.only or [COPY, *STAGES]
    with contextlib.ExitStack() as stack:
        if options.keep:
            folders = {options.count: options.keep}
        else:
            made = tempfile.TemporaryDirectory(prefix="petpark-bench-", dir=options.directory)
            within = Path(stack.enter_context(made))
            folders = {count: within / f"{count}" for count in (options.count // 10, options.count)}
        stages = [
            stage
            for count, folder in folders.items()
            for stage in measure(folder, count, wanted, networks=options.networks, show=show)
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


def measure(directory: Path, count: int, wanted: Sequence[str], *, networks: bool, show: Console) -> Sequence[Stage]:
    """Draw photos unless the folder has them, and run the requested stages."""
    directory.mkdir(exist_ok=True)
    began, index = time.perf_counter(), directory / "drawn" / "index.csv"
    if not index.exists():
        scenes.draw(index.parent, count)
        show.print(f"\n{count:,} photos drawn in {time.perf_counter() - began:.0f} s")
    photos = index.parent / "photos"
    with s3_server(directory / "buckets") as server:
        os.environ.update(server.environment())  # for the processes that are started
        bucket, theirs = server.bucket("lake"), server.bucket("theirs")
        found = [in_a_process(COPY, count, partial(copy, photos, theirs))] if COPY in wanted else []
        for name, work in ((name, work) for name, work in STAGES.items() if name in wanted):
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
    subprocess.run(command, check=True, timeout=TIMEOUT_SECONDS)
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


COPY: Final = "s5cmd cp"
STAGES: Final[dict[str, Callable[[Path, Path, Bucket, bool], str]]] = {
    "ingest": ingestion,
    "report": report,
    "leak check": leak_check,
}


def in_a_process(name: str, photos: int, work: Callable[[], str]) -> Stage:
    """Do it in a process that does nothing else, so that its memory is the stage's."""
    with Member(multiprocessing.get_context("spawn"), partial(taken, name, photos, work)) as member:
        return member.answer(TIMEOUT_SECONDS)


def taken(name: str, photos: int, work: Callable[[], str]) -> Stage:
    """Returns the cost of `work`, including its child processes; shared pages of their memory count twice."""
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
