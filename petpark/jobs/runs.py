"""Compare jobs' settings, machines and results, from their records in the workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from petpark.files import write_file
from registry.encoding import parse_canonical
from registry.layout.jobs import job_result_key, job_spec_key, machines_prefix
from registry.layout.roles import Role

if TYPE_CHECKING:
    from petpark.targets.target import Target
    from training.job import EpochRecord, JobResult, JobSpec

CURVES: Final = ("accuracy", "loss", "train_loss", "learning_rate", "seconds")
_WIDTH, _HEIGHT = 420, 200
_COLOURS: Final = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce", "#be123c", "#a16207", "#0f766e", "#475569")
_TICKS: Final = 5
_MANY: Final = 60
"""From this number of epochs, only the last point is marked: more marks would hide the curve."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """All records of one job. `problems` has a text for each malformed record, by object key."""

    job: str
    spec: JobSpec | None
    epochs: tuple[EpochRecord, ...]
    machines: tuple[Mapping[str, Any], ...]
    result: JobResult | None
    problems: Mapping[str, str] = field(default_factory=dict[str, str])

    def facts(self) -> dict[str, Any]:
        """Returns the run as JSON-compatible values, for `--json`."""
        return {
            "job": self.job,
            "spec": self.spec and asdict(self.spec),
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "machines": list(self.machines),
            "result": self.result and asdict(self.result),
            "problems": dict(self.problems),
        }

    def settings(self) -> dict[str, str]:
        """Returns what a training depends on: parameters, data, code, seed and hardware, as text by name."""
        spec = {} if self.spec is None else _flat(asdict(self.spec))
        last = self.machines[-1] if self.machines else {}
        machine = {
            name: last[name] for name in ("processor", "cores", "gpu", "processes", "torch", "lock") if name in last
        }
        return {name: str(value) for name, value in {**spec, **machine}.items()}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One job's curve in an SVG: the polyline's points, those marked with dots, and the last value."""

    job: str
    colour: str
    points: str
    dots: tuple[tuple[str, str], ...]
    last: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A tick of an axis: its position in SVG units, and its label."""

    at: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One metric over the epochs, for all jobs on the same scale."""

    name: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    lines: tuple[Line, ...]


def load(target: Target, job: str) -> Run:
    """Returns the records of a job, running or ended; malformed ones are in `problems`.

    Raises training's `JobMissing`.
    """
    from training.errors import SpecMalformed
    from training.job import epoch_records, find_result, load_spec

    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    spec: JobSpec | None = None
    result: JobResult | None = None
    epochs, problems = epoch_records(store, job)
    try:
        spec = load_spec(store, job)
    except SpecMalformed as error:
        problems[job_spec_key(job)] = str(error)
    try:
        result = find_result(store, job)
    except SpecMalformed as error:
        problems[job_result_key(job)] = str(error)
    machines: list[Mapping[str, Any]] = []
    for key in store.keys(machines_prefix(job)):
        try:
            machines.append(parse_canonical(store.get(key)).rest())
        except ValueError as error:
            problems[key] = str(error)
    return Run(job=job, spec=spec, epochs=tuple(epochs), machines=tuple(machines), result=result, problems=problems)


def _flat(facts: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Returns nested values by dotted name (`evaluation.gates.accuracy`), hyper-parameters without a prefix."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found |= _flat(value, "" if name == "hyper_parameters" else f"{path}{name}.")
        else:
            found[f"{path}{name}"] = "–" if value is None else value
    return found


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Returns the settings that differ between runs, each with the values of all runs in order."""
    settings = [run.settings() for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    rows = {name: [one.get(name, "–") for one in settings] for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def chart(runs: Sequence[Run], name: str) -> Chart:
    """Returns the chart of one metric in a 420 x 200 box; a constant value is drawn in the middle."""
    values = [[(epoch.epoch, float(getattr(epoch, name))) for epoch in run.epochs] for run in runs]
    every = [value for one in values for _, value in one] or [0.0]
    low, high = min(every), max(every)
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    longest = max((run.epochs[-1].of for run in runs if run.epochs), default=1)

    def across(epoch: float) -> str:
        return f"{_WIDTH * (epoch - 1) / (longest - 1) if longest > 1 else _WIDTH / 2:.1f}"

    def up(value: float) -> str:
        return f"{_HEIGHT * (1 - (value - low) / (high - low)):.1f}"

    lines = [
        Line(
            job=run.job,
            colour=_COLOURS[number % len(_COLOURS)],
            points=" ".join(f"{across(epoch)},{up(value)}" for epoch, value in one),
            dots=tuple((across(epoch), up(value)) for epoch, value in (one if len(one) < _MANY else one[-1:])),
            last=f"{one[-1][1]:.4g}" if one else "–",
        )
        for number, (run, one) in enumerate(zip(runs, values, strict=True))
    ]
    step = (high - low) / (_TICKS - 1)
    return Chart(
        name=name.replace("_", " "),
        across=tuple(Tick(at=across(epoch), text=str(epoch)) for epoch in _epochs(longest)),
        up=tuple(Tick(at=up(low + step * index), text=f"{low + step * index:.3g}") for index in range(_TICKS)),
        lines=tuple(lines),
    )


def _epochs(longest: int) -> list[int]:
    """Returns the epochs with a tick: first, last and evenly spaced ones between."""
    count = min(longest, _TICKS)
    return sorted({round(1 + (longest - 1) * index / max(1, count - 1)) for index in range(count)})


def write_page(runs: Sequence[Run], path: Path) -> None:
    """Write the comparison as a single HTML file with all text escaped. Raises `FileInTheWay`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    charts = [chart(runs, name) for name in CURVES]
    page = environment.get_template("runs.html.j2")
    text = page.render(runs=runs, charts=charts, differences=differences(runs))
    write_file(text, path, next_step="Choose another file: --page FILE")
