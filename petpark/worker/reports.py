"""The purpose `report`: pages for people, made where the photos are."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from petpark.data import quality_reports
from petpark.worker.findings import Assignment, Findings
from petpark.worker.order import OrderMalformed
from registry.encoding import SHA256
from training.plan import DataGates


def write(assignment: Assignment) -> Findings:
    """Make the report that the order names by `kind`. Outcome: `written`. Raises OrderMalformed."""
    kind = assignment.order.inputs.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise OrderMalformed(f"no report of kind {kind!r}; expected one of: {', '.join(_KINDS)}")
    return _KINDS[kind](assignment)


def _quality(assignment: Assignment) -> Findings:
    """A dataset's quality report, whether or not there is one: photos' measures change with the networks."""
    dataset = assignment.order.read(lambda fields: (fields.text("kind"), fields.text("dataset", SHA256)))[1]
    target = assignment.target()
    made = quality_reports.report(target, dataset, gates=DataGates())
    failed = ", ".join(gate.name for gate in made.report.failed)
    said = f"failed {failed}" if failed else "all gates passed"
    return Findings(
        outcome="written",
        message=f"report {made.number} of dataset {dataset[:12]}: {said}",
        report=f"s3://{target.outputs.data_lake}/{made.key}",
    )


_KINDS: Final[Mapping[str, Callable[[Assignment], Findings]]] = MappingProxyType({"quality": _quality})
