"""The purpose `dataset`: check that a dataset is fit for training."""

from typing import Final

from petpark.data import quality_reports
from petpark.worker.purposes.findings import Assignment, Findings
from registry.encoding import SHA256, Fields
from registry.gates import DATA_GATES, GatesInvalid, StackGates
from registry.layout.data_lake import quality_key
from registry.layout.roles import Role
from training.dataset.fitness import refuse_unfit
from training.dataset.manifest import Manifest, load_manifest
from training.dataset.splits.leakage import refuse_leaks
from training.errors import DatasetRefused, SplitsLeak
from training.plan import DataGates
from training.quality.stored import newest, refuse_doubtful

_NETWORK_GATES: Final = ("label_noise", "unlike")


def check(assignment: Assignment) -> Findings:
    """Check a dataset as a training does at its start; create its quality report if there is none.

    Outcomes: `passed`, `refused`. Raises OrderMalformed, and training's DatasetMissing, ManifestMalformed, PhotoLost.
    """
    dataset, gates = assignment.order.read(_read)
    target = assignment.target()
    lake = target.store(target.outputs.data_lake, role=Role.PUBLISHER)
    manifest = load_manifest(lake, dataset)
    found = newest(lake, manifest.sha256)
    if found is None:
        made = quality_reports.report(target, manifest.sha256, gates=gates or DataGates(), labels=needs_networks(gates))
        assignment.check()
        number = made.number
    else:
        number = found.number
    report = f"s3://{target.outputs.data_lake}/{quality_key(manifest.sha256, number, 'html')}"
    metrics = {"photos": float(len(manifest.photos)), "classes": float(len(manifest.labels))}
    try:
        refuse_unfit(manifest)
        refuse_leaks(manifest)
        refuse_doubtful(lake, manifest.sha256, gates)
    except (DatasetRefused, SplitsLeak) as error:
        return Findings(outcome="refused", message=str(error), metrics=metrics, report=report)
    return Findings(outcome="passed", message=_summary(manifest), metrics=metrics, report=report)


def needs_networks(gates: DataGates | None) -> bool:
    """Whether a gate needs the checks by neural networks, which take minutes and are skipped otherwise."""
    return gates is not None and any(not DATA_GATES[name].is_off(getattr(gates, name)) for name in _NETWORK_GATES)


def _read(fields: Fields) -> tuple[str, DataGates | None]:
    return fields.text("dataset", SHA256), data_gates(read_gates(fields))


def read_gates(fields: Fields) -> StackGates:
    """Returns the input `gates`, in the form of a stack's outputs. Raises ValueError."""
    try:
        return StackGates.from_dict(fields.nested("gates").rest())
    except GatesInvalid as error:
        raise ValueError(f"gates: {error}") from error


def data_gates(gates: StackGates) -> DataGates | None:
    """Returns the data gates that a stack declares; None if it declares none and so needs no report."""
    if not gates.data:
        return None
    # Gates are floats in the outputs; the settings of integers must have no fraction.
    return DataGates().with_settings(
        f"{name}={int(value) if value == int(value) else value}" for name, value in gates.data.items()
    )


def _summary(manifest: Manifest) -> str:
    return f"{len(manifest.photos):,} photos of {', '.join(manifest.labels)}"
