"""What a model is asked before people are: which gates it must pass, what errors cost, how many photos are tried."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Self

from registry.encoding import Fields
from registry.gates import MODEL_GATES
from training.errors import SpecMalformed
from training.evaluation.figures.calibration import Costs
from training.settings import Settings

FOR_EIGHT_BITS: Final = frozenset({"efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"})
"""Networks that were made for eight bits: ReLU6, and nothing that scales channels by one another."""

_MADE_FOR_IT: Final = 2


@dataclass(frozen=True, kw_only=True)
class Gates(Settings):
    """What a version must show, each on the bound of its 95 % interval that is against us.

    The defaults are a floor below which a model is no use to anybody; a park sets its own in its stack's YAML. Which
    way each is stricter stands in `registry.gates`, which the stack's program can read too.
    """

    accuracy: float = 0.6  # least: lower bound
    recall: float = 0.4  # least, of the class found least: lower bound
    slice_gap: float = 0.4  # most that a slice may be behind all other photos: upper bound of the worst
    calibration_error: float = 0.2  # most; the estimate, which overstates on few photos
    robustness_drop: float = 0.4  # most accuracy lost under corruptions, their mean: upper bound
    consistency: float = 0.5  # least share of photos that keep their answer when moved or encoded again: lower bound
    abstention_coverage: float = 0.0  # least share of answers that hold the class, abstaining: on unseen groups where
    # there are groups; 0: not asked
    abstention_kept: float = 0.0  # least share of photos of the classes that are not called neither, likewise
    abstention_refused_far: float = 0.0  # least share of noise, gradients and plain colours that is called neither
    abstention_refused_near: float = 0.0  # least share of test photos with shuffled pieces that is called neither
    luck: float = (
        0.05  # p-value of McNemar's test below which being worse than `prod` is not taken for luck; higher refuses more
    )
    milliseconds: float = 0.0  # most for one photo, 99th percentile, on the machine that trained; 0: not asked

    def __post_init__(self) -> None:
        """Refuse what no gate can mean; SpecMalformed."""
        for name, value in asdict(self).items():
            if not MODEL_GATES[name].takes(value):
                raise SpecMalformed(f"gate {name} needs {MODEL_GATES[name].expected}, not {value}")


@dataclass(frozen=True, kw_only=True)
class Checks(Settings):
    """How a model is tested."""

    positive: str = ""  # the class that raises an alarm; empty: the last of the labels
    false_positive_cost: float = 1.0  # of an alarm without its class, against that of a class without its alarm
    false_negative_cost: float = 1.0
    photos: int = 100  # most that are corrupted, moved and encoded again
    calls: int = 60  # timed classifications of one photo
    int8: int = 2  # also try an eight-bit model, and serve it if it is as good and faster: 1 of any network, 0 of none,
    # 2 of those that were made for it

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
