"""Publishing and fetching: petpark, transfer tools and a registry, with the same bytes and the same server."""

import contextlib
import hashlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.support.figures import Spread, median_interval, paired
from benchmarks.support.registry.contestants import Contestant, Petpark, aws, library, petpark_process, s5cmd
from benchmarks.support.s3_server import S3Server

PROMISE = 1.10
"""Maximum ratio to the time of the plain transfer tool."""

VERBS = ("publish", "fetch")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is sent."""

    title: str
    files: int
    bytes_each: int

    def fill(self, directory: Path) -> str:
        """Make the files, of bytes that nothing can compress; returns a digest of them all."""
        directory.mkdir()
        for number in range(self.files):
            (directory / f"{number:04d}.bin").write_bytes(os.urandom(self.bytes_each))
        return digest(directory)


START = Workload(title="start", files=1, bytes_each=1)
WORKLOADS = (
    Workload(title="one model of 45 MB", files=1, bytes_each=45 * 10**6),
    Workload(title="1,000 files of 30 kB", files=1000, bytes_each=30_000),
)


PETPARK, BOTO3, CRT, MLFLOW = "petpark", "boto3 upload_file", "awscrt S3Client", "MLflow registry, SQLite + S3"
PETPARK_PROCESS, S5CMD, AWS = "petpark, as a process", "s5cmd cp", "aws s3 cp"
LIBRARIES = (PETPARK, BOTO3, CRT, MLFLOW)
PROCESSES = (PETPARK_PROCESS, S5CMD, AWS)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One contestant's figures, by verb."""

    name: str
    seconds: Mapping[str, Spread]
    ours: Mapping[str, Spread]  # petpark's time by this one's, in pairs: library by library, process by process
    start: Mapping[str, Spread] | None  # of a process: the same call with one file of one byte
    plain: Mapping[str, tuple[float, float, float]] | None = None  # petpark by s5cmd less its start: median, 95 %


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Figures of one workload."""

    title: str
    trials: int
    rows: tuple[Row, ...]

    def table(self) -> Table:
        """For people."""
        table = Table(
            title=f"{self.title}, {self.trials} trials in turns: median (lowest–highest)",
            caption="Petpark hashes what it sends and what it fetched, and creates if absent; transfer tools do not."
            " Above: libraries in a process that runs; below: whole processes. A start is the same call with one file"
            " of one byte.",
            title_justify="left",
            caption_justify="left",
        )
        for column in ("", "publish, s", "petpark / it", "fetch, s", "petpark / it"):
            table.add_column(column, justify="left" if not column else "right", no_wrap=True)
        for row in self.rows:
            table.add_row(row.name, *(str(each[verb]) for verb in VERBS for each in (row.seconds, row.ours)))
            if row.start:
                table.add_row("  of which start", *(cell for verb in VERBS for cell in (str(row.start[verb]), "")))
            if row.name == self._last_library:
                table.add_section()
        return table

    def verdicts(self) -> list[str]:
        """The promise, and the limit: the fastest tool that only transfers. Medians, starts taken off."""
        return [self._verdict(verb) for verb in VERBS]

    def _verdict(self, verb: str) -> str:
        plain = [name for name in (BOTO3, CRT, S5CMD) if name in self._names]
        seconds = {name: self.alone(name, verb) for name in (PETPARK, *plain)}
        # Not aws, whose start is several times longer than its work, and as unsteady.
        limit = min(plain, key=lambda name: seconds[name])
        times, low, high = (self._row(PETPARK).plain or {})[verb]
        return (
            f"{verb}: petpark {seconds[PETPARK]:.2f} s, s5cmd without its start {seconds[S5CMD]:.2f} s,"
            f" {times:.2f} times as long ({low:.2f}–{high:.2f}, 95 %)"
            f" (promise: ≤ {PROMISE:.2f}, {verdict(low, high)});"
            f" limit: {limit} {seconds[limit]:.2f} s"
        )

    @property
    def holds(self) -> bool:
        """Times depend on the machine: judged above, not checked against the run."""
        return True

    @property
    def _names(self) -> list[str]:
        return [row.name for row in self.rows]

    @property
    def _last_library(self) -> str:
        return [name for name in self._names if name in LIBRARIES][-1]

    def _row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)

    def alone(self, name: str, verb: str) -> float:
        """Median seconds of the work without a start; at least a millisecond, for medians are uncertain."""
        row = self._row(name)
        return max(row.seconds[verb].median - (row.start[verb].median if row.start else 0), 0.001)


def verdict(low: float, high: float) -> str:
    """Whether the promise was kept, by the 95 % interval of the ratio; None if the machine was too noisy."""
    if high <= PROMISE:
        return "kept"
    return "missed" if low > PROMISE else "not concluded: too noisy, or too few trials"


def measure(
    server: S3Server,
    directory: Path,
    environment: Mapping[str, str],
    *,
    trials: int,
    console: Console,
    plain: bool = False,
) -> list[Transfer]:
    """Every contestant, every workload, `trials` times in turns; `plain`: petpark and s5cmd only."""
    bucket = server.bucket("transfer")
    with contextlib.ExitStack() as stack:
        contestants: dict[str, Contestant] = {
            PETPARK: Petpark(bucket),
            S5CMD: s5cmd(bucket, environment),
        }
        if not plain:
            contestants |= {PETPARK_PROCESS: petpark_process(bucket, environment), AWS: aws(bucket, environment)}
            for name, tool in ((BOTO3, "boto3"), (CRT, "awscrt"), (MLFLOW, "mlflow")):
                contestants[name] = stack.enter_context(library(tool, bucket, environment, directory))
        status = stack.enter_context(console.status("transfer"))
        arena = Arena(contestants=contestants, stored=bucket.folder, directory=directory, say=status.update)
        arena.run(START, trials=1)  # connects and warms up
        return [summary(*arena.run(workload, trials=trials), workload) for workload in WORKLOADS]


type Times = dict[str, dict[str, list[float]]]
"""Seconds by contestant and verb, one a trial."""


@dataclass(frozen=True, kw_only=True)
class Arena:
    """Lets contestants take turns."""

    contestants: Mapping[str, Contestant]
    stored: Path
    directory: Path
    say: Callable[[str], None]

    def run(self, workload: Workload, *, trials: int) -> tuple[Times, Times]:
        """Seconds of each, and of each process's start just before. Each trial begins with another contestant."""
        names = list(self.contestants)
        times: Times = {name: {verb: [] for verb in VERBS} for name in names}
        starts: Times = {name: {verb: [] for verb in VERBS} for name in names if name in PROCESSES}
        with tempfile.TemporaryDirectory(dir=self.directory) as name:
            folder = Path(name)
            expected = {each.title: each.fill(folder / each.title) for each in {workload, START}}
            for trial in range(trials):
                for index in range(len(names)):
                    who = names[(index + trial) % len(names)]
                    self.say(f"{workload.title}: trial {trial + 1} of {trials}, {who}")
                    for each, into in ((START, starts), (workload, times)):
                        if who in into:
                            seconds = self._once(self.contestants[who], folder, each.title, expected[each.title])
                            for verb in VERBS:
                                into[who][verb].append(seconds[verb])
        return times, starts

    def _once(self, contestant: Contestant, folder: Path, title: str, expected: str) -> dict[str, float]:
        """Leaves nothing for the next to write back."""
        source, fetched, place = folder / title, folder / "fetched", f"t{secrets.token_hex(6)}"
        fetched.mkdir()
        began = time.perf_counter()
        contestant.publish(source, place)
        published = time.perf_counter()
        contestant.fetch(fetched, place)
        ended = time.perf_counter()
        if digest(fetched) != expected:
            sys.exit(f"{contestant} did not bring back what it had sent")
        shutil.rmtree(fetched)
        shutil.rmtree(self.stored / place)
        return {"publish": published - began, "fetch": ended - published}


def summary(times: Times, start: Times, workload: Workload) -> Transfer:
    """Each with petpark's figure of its kind."""
    kinds = ((PETPARK, LIBRARIES), (PETPARK_PROCESS if PETPARK_PROCESS in times else S5CMD, PROCESSES))
    rows = [
        Row(
            name=name,
            seconds={verb: Spread.of(times[name][verb]) for verb in VERBS},
            ours={verb: paired(times[mine][verb], times[name][verb]) for verb in VERBS},
            start={verb: Spread.of(start[name][verb]) for verb in VERBS} if name in PROCESSES else None,
            plain={verb: _by_plain(times, start, verb) for verb in VERBS} if name == PETPARK else None,
        )
        for mine, names in kinds
        for name in names
        if name in times
    ]
    return Transfer(title=workload.title, trials=len(times[PETPARK]["publish"]), rows=tuple(rows))


def _by_plain(times: Times, start: Times, verb: str) -> tuple[float, float, float]:
    """Petpark's time by that of s5cmd less its start, in pairs: median and 95 % interval."""
    pairs = zip(times[PETPARK][verb], times[S5CMD][verb], start[S5CMD][verb], strict=True)
    return median_interval([mine / max(theirs - begun, 0.001) for mine, theirs, begun in pairs])


def digest(directory: Path) -> str:
    """Of the names and bytes of all files below, whatever folders a tool put in between."""
    whole = hashlib.sha256()
    for path in sorted((path for path in directory.rglob("*") if path.is_file()), key=lambda path: path.name):
        whole.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
