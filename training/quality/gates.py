"""What a dataset must show before a model is made of it, and whether it does."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from registry.gates import DATA_GATES, Gate, Stricter
from training.plan import DataGates
from training.quality.findings import Name


@dataclass(frozen=True, kw_only=True)
class DataGateResult:
    """How a dataset did at one gate."""

    name: str  # field of DataGates
    characteristic: Name
    passed: bool
    measured: bool
    """False: it was not measured. Then it has not passed either, but no photo is the cause."""
    asked: str
    found: str


def judge(gates: DataGates, measures: Mapping[str, float]) -> tuple[DataGateResult, ...]:
    """Compare measures with every gate that is on."""
    limits: dict[str, float] = asdict(gates)
    return tuple(
        _judge(name, gate, limits[name], measures.get(name))
        for name, gate in DATA_GATES.items()
        if not gate.is_off(limits[name])
    )


def failed(results: Iterable[DataGateResult]) -> tuple[DataGateResult, ...]:
    """Those at which the dataset was measured, and found wanting."""
    return tuple(result for result in results if result.measured and not result.passed)


def _judge(name: str, gate: Gate, limit: float, value: float | None) -> DataGateResult:
    return DataGateResult(
        name=name,
        characteristic=Name(gate.characteristic),
        passed=value is not None and gate.meets(value, limit),
        measured=value is not None,
        asked=f"{gate.what}: at {'least' if gate.stricter is Stricter.HIGHER else 'most'} {_written(limit, gate)}",
        found="not measured" if value is None else _written(value, gate),
    )


def _written(value: float, gate: Gate) -> str:
    if gate.unit == "%":
        return f"{value * 100:.1f}\u00a0%"
    return f"{value:g}{gate.unit}" if gate.unit else f"{value:.2f}"
