"""The purpose `dataset`: may a model be made of these photos?"""

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

_BY_NETWORKS: Final = ("label_noise", "unlike")


def check(assignment: Assignment) -> Findings:
    """Look at a dataset as a training would before it begins; make its quality report if there is none.

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
    """Whether a gate needs checks by networks, which take minutes; otherwise they are skipped."""
    return gates is not None and any(not DATA_GATES[name].is_off(getattr(gates, name)) for name in _BY_NETWORKS)


def _read(fields: Fields) -> tuple[str, DataGates | None]:
    return fields.text("dataset", SHA256), data_gates(read_gates(fields))


def read_gates(fields: Fields) -> StackGates:
    """The input `gates`, as stacks export it; ValueError."""
    try:
        return StackGates.from_dict(fields.nested("gates").rest())
    except GatesInvalid as error:
        raise ValueError(f"gates: {error}") from error


def data_gates(gates: StackGates) -> DataGates | None:
    """The limits of data that a stack declares; None if it declares none, and asks for no report."""
    if not gates.data:
        return None
    # Outputs know no integers: 3.0 was written as 3.
    return DataGates().with_settings(
        f"{name}={int(value) if value == int(value) else value}" for name, value in gates.data.items()
    )


def _summary(manifest: Manifest) -> str:
    return f"{len(manifest.photos):,} photos of {', '.join(manifest.labels)}"
