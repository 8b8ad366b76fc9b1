"""What jobs asked for, ran on and reached, side by side: from the records that they left in the workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry import layout

if TYPE_CHECKING:
    from petpark.target import Target
    from training.job import EpochRecord, JobResult, JobSpec

CURVES: Final = ("accuracy", "loss", "train_loss", "learning_rate", "seconds")
_WIDTH, _HEIGHT = 420, 200
_COLOURS: Final = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce", "#be123c", "#a16207", "#0f766e", "#475569")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that one job wrote down."""

    job: str
    spec: JobSpec
    epochs: tuple[EpochRecord, ...]
    machines: tuple[Mapping[str, Any], ...]
    result: JobResult | None

    def facts(self) -> dict[str, Any]:
        """For `--json`."""
        epochs = [asdict(epoch) for epoch in self.epochs]
        result = None if self.result is None else asdict(self.result)
        machines = list(self.machines)
        return {"job": self.job, "spec": asdict(self.spec), "epochs": epochs, "machines": machines, "result": result}

    def settings(self) -> dict[str, str]:
        """What decides how a training goes: parameters, data, code, seed, and what it ran on."""
        asked = asdict(self.spec)
        parameters: dict[str, Any] = asked.pop("hyper_parameters")
        last = self.machines[-1] if self.machines else {}
        machine = {
            name: last[name] for name in ("processor", "cores", "gpu", "processes", "torch", "lock") if name in last
        }
        return {name: str(value) for name, value in {**asked, **parameters, **machine}.items()}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One job's curve, as points of an SVG polyline."""

    job: str
    colour: str
    points: str
    last: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One number over the epochs, for all jobs on one scale."""

    name: str
    low: str
    high: str
    lines: tuple[Line, ...]


def load(target: Target, job: str) -> Run:
    """Read the records of a job, running or ended; training's `JobMissing`."""
    from training.job import EpochRecord, find_result, load_spec

    store = target.store(target.outputs.workspace, role=layout.Role.PUBLISHER)
    return Run(
        job=job,
        spec=load_spec(store, job),
        epochs=tuple(EpochRecord.from_json(store.get(key)) for key in store.keys(layout.epochs_prefix(job))),
        machines=tuple(json.loads(store.get(key)) for key in store.keys(layout.machines_prefix(job))),
        result=find_result(store, job),
    )


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Settings in which not all runs are equal, with every run's value."""
    settings = [run.settings() for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    rows = {name: [one.get(name, "–") for one in settings] for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def chart(runs: Sequence[Run], name: str) -> Chart:
    """Draw one number of all runs' epochs in a box of 420 by 200."""
    values = [[float(getattr(epoch, name)) for epoch in run.epochs] for run in runs]
    every = [value for one in values for value in one] or [0.0]
    low, high = min(every), max(every)
    longest = max((run.epochs[-1].of for run in runs if run.epochs), default=1)

    def point(place: int, value: float) -> str:
        x = _WIDTH * place / max(1, longest - 1)
        return f"{x:.1f},{_HEIGHT * (1 - (value - low) / ((high - low) or 1)):.1f}"

    lines = tuple(
        Line(
            job=run.job,
            colour=_COLOURS[number % len(_COLOURS)],
            points=" ".join(point(place, value) for place, value in enumerate(one)),
            last=f"{one[-1]:.4g}" if one else "–",
        )
        for number, (run, one) in enumerate(zip(runs, values, strict=True))
    )
    return Chart(name=name.replace("_", " "), low=f"{low:.4g}", high=f"{high:.4g}", lines=lines)


def write_page(runs: Sequence[Run], path: Path) -> None:
    """Write the comparison as one HTML file that needs nothing else; all text in it is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    charts = [chart(runs, name) for name in CURVES]
    page = environment.get_template("runs.html.j2")
    path.write_text(page.render(runs=runs, charts=charts, differences=differences(runs)), encoding="utf-8")
