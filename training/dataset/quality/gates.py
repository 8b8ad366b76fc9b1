"""What a dataset must show before a model is made of it, and whether it does."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import registry.gates
from registry.gates import DATA_GATES, Gate, Stricter
from training.dataset.quality.findings import Name
from training.errors import SpecMalformed
from training.settings import Settings


@dataclass(frozen=True, kw_only=True)
class DataGates(registry.gates.DataGates, Settings):
    """The limits that a dataset's measures are compared with."""

    def __post_init__(self) -> None:
        """Refuse what no gate can mean; SpecMalformed."""
        for name, value in asdict(self).items():
            if not DATA_GATES[name].takes(value):
                raise SpecMalformed(f"data gate {name} needs {DATA_GATES[name].expected}, not {value}")


@dataclass(frozen=True, kw_only=True)
class DataGateResult:
    """How a dataset did at one gate."""

    name: str  # field of DataGates
    characteristic: Name
    passed: bool
    measured: bool
    """False: nobody looked. Then it did not pass either, but no photo is to blame."""
    asked: str
    found: str


def judge(gates: DataGates, measures: Mapping[str, float]) -> tuple[DataGateResult, ...]:
    """Hold measures against every gate that is asked."""
    limits: dict[str, float] = asdict(gates)
    return tuple(
        _judge(name, gate, limits[name], measures.get(name))
        for name, gate in DATA_GATES.items()
        if not gate.asks_nothing(limits[name])
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
