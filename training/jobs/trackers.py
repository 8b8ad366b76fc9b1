"""Log epochs to MLflow or TensorBoard, if `MLFLOW_TRACKING_URI` or `TENSORBOARD_LOGDIR` is set.

The lock file has neither library: install them where you set a variable. The job's own records do not depend on them.
A failing tracker is logged once, and does not stop a training.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from training.job import JobSpec
from training.jobs.logs import ReportEvent

type _Track = Callable[[int, Mapping[str, float]], None]

_TRACKERS: Final[Mapping[str, str]] = {"MLFLOW_TRACKING_URI": "MLflow", "TENSORBOARD_LOGDIR": "TensorBoard"}


def tracked(report: ReportEvent, job: str, spec: JobSpec) -> ReportEvent:
    """Returns `report`, extended to log every epoch's metrics to the trackers named by environment variables."""
    starts = {"MLflow": _mlflow, "TensorBoard": _tensorboard}
    tracks: dict[str, _Track] = {}
    for variable, name in _TRACKERS.items():
        if os.environ.get(variable):
            try:
                tracks[name] = starts[name](job, spec)
            except Exception as error:  # noqa: BLE001 - no problem of a tracker may stop the training
                report("not tracked", {"tracker": name, "message": repr(error)})

    def report_and_track(event: str, facts: Mapping[str, object]) -> None:
        report(event, facts)
        if event != "epoch":
            return
        for name in list(tracks):
            try:
                tracks[name](int(str(facts["epoch"])), _numbers(facts))
            except Exception as error:  # noqa: BLE001 - as above
                del tracks[name]
                report("not tracked", {"tracker": name, "message": repr(error)})

    return report_and_track if tracks else report


def _numbers(facts: Mapping[str, object]) -> dict[str, float]:
    usage = facts.get("usage")
    flat = {**facts, **(usage if isinstance(usage, dict) else {})}
    return {name: float(value) for name, value in flat.items() if isinstance(value, int | float) and name != "epoch"}


def _mlflow(job: str, spec: JobSpec) -> _Track:
    """Start or continue the run with the job's name on the server of `MLFLOW_TRACKING_URI`. Returns its logger."""
    mlflow: Any = importlib.import_module("mlflow")
    mlflow.set_experiment("petpark")
    found = mlflow.search_runs(filter_string=f"attributes.run_name = '{job}'", output_format="list")
    mlflow.start_run(run_id=found[0].info.run_id if found else None, run_name=job)
    if not found:
        facts = {"dataset": spec.dataset, "seed": spec.seed, "code": spec.code}
        mlflow.log_params(asdict(spec.hyper_parameters) | facts)
    return lambda epoch, numbers: mlflow.log_metrics(dict(numbers), step=epoch)


def _tensorboard(job: str, _spec: JobSpec) -> _Track:
    writer: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter(
        str(Path(os.environ["TENSORBOARD_LOGDIR"]) / job)
    )

    def track(epoch: int, numbers: Mapping[str, float]) -> None:
        for name, number in numbers.items():
            writer.add_scalar(name, number, epoch)
        writer.flush()

    return track
