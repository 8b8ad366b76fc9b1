"""Gates of photos and models, costs of errors, and how models are checked."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Self

import registry.gates
from registry.encoding import Fields
from registry.gates import DATA_GATES, MODEL_GATES, ModelChecks, ModelGates
from training.errors import SpecMalformed
from training.settings import Settings

FOR_EIGHT_BITS: Final = frozenset({"efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"})
"""Networks that were made for eight bits: ReLU6, and nothing that scales channels by one another."""

_MADE_FOR_IT: Final = 2


@dataclass(frozen=True, kw_only=True)
class DataGates(registry.gates.DataGates, Settings):
    """The limits that a dataset's measures are compared with."""

    def __post_init__(self) -> None:
        """Refuse what no gate can mean; SpecMalformed."""
        for name, value in asdict(self).items():
            if not DATA_GATES[name].takes(value):
                raise SpecMalformed(f"data gate {name} needs {DATA_GATES[name].expected}, not {value}")


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a wrong alarm and a missed photo cost, in any unit; their ratio alone decides."""

    false_positive: float = 1.0
    false_negative: float = 1.0

    @property
    def differ(self) -> bool:
        """Whether a threshold is needed; with equal costs the most probable class is the cheapest answer."""
        return self.false_positive != self.false_negative


@dataclass(frozen=True, kw_only=True)
class Gates(ModelGates, Settings):
    """The gates of a job."""

    def __post_init__(self) -> None:
        """Refuse what no gate can mean; SpecMalformed."""
        for name, value in asdict(self).items():
            if not MODEL_GATES[name].takes(value):
                raise SpecMalformed(f"gate {name} needs {MODEL_GATES[name].expected}, not {value}")


@dataclass(frozen=True, kw_only=True)
class Checks(ModelChecks, Settings):
    """How the model of a job is tested."""

    def __post_init__(self) -> None:
        """Refuse what no test can mean; SpecMalformed."""
        if not (self.photos > 0 and self.calls > 0):
            raise SpecMalformed("photos and calls must be above 0")
        if self.int8 not in (0, 1, 2):
            raise SpecMalformed(f"int8 must be 0, 1 or 2 (of networks made for it), not {self.int8}")
        for cost in (self.false_positive_cost, self.false_negative_cost):
            if not (cost >= 0 and math.isfinite(cost)):
                raise SpecMalformed(f"costs of errors must be 0 or above, not {cost}")

    def in_eight_bits(self, architecture: str) -> bool:
        """Whether an eight-bit model of this network is tried."""
        return self.int8 == 1 or (self.int8 == _MADE_FOR_IT and architecture in FOR_EIGHT_BITS)

    def positive_class(self, labels: Sequence[str]) -> int:
        """Returns the place in `labels` of the class that raises an alarm; SpecMalformed."""
        if self.positive and self.positive not in labels:
            raise SpecMalformed(f"no class {self.positive!r} to raise an alarm; choose one of: {', '.join(labels)}")
        return labels.index(self.positive) if self.positive else len(labels) - 1

    @property
    def costs(self) -> Costs:
        """Both costs."""
        return Costs(false_positive=self.false_positive_cost, false_negative=self.false_negative_cost)


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """All of it, as a job carries it."""

    gates: Gates = field(default_factory=Gates)
    checks: Checks = field(default_factory=Checks)

    @classmethod
    def read(cls, reader: Fields) -> Self:
        """Read all, strictly; ValueError or SpecMalformed."""
        plan = cls(gates=Gates.read(reader.nested("gates")), checks=Checks.read(reader.nested("checks")))
        reader.done()
        return plan
