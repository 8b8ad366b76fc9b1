"""Which faults a run meets, and when. Pure: the same seed and number are the same plan."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

EPOCHS: Final = 5
"""Of each training; a checkpoint follows each of them."""

MOST_INTERRUPTIONS: Final = 3
"""Of one job: fewer than its attempts, so each plan can end well."""


class Fault(StrEnum):
    """What goes wrong."""

    NOTICE = "spot notice"
    REBALANCE = "rebalance recommendation"
    TERMINATED = "terminated without notice"
    LOST = "host lost"
    """All processes of an instance die at once."""
    WORKER_KILLED = "worker kill -9"
    TRAINING_KILLED = "training kill -9"
    LATE = "late heartbeat"
    """Worker and training are frozen for half of the heartbeat timeout of `job`."""
    SILENT = "no heartbeat"
    """They are frozen for longer than that, and continue when another instance has their work."""
    STORE_FAILS = "store fails"
    """S3 does not answer the instances for a while."""
    JANITOR = "janitor"
    """It looks at the instances in the middle of the work."""
    CANCELLED = "cancelled"
    TWO_STARTS = "two starts"
    """Two people start the pipeline at once, and the event of its manifest comes twice."""
    TWO_DECISIONS = "two decisions"
    """Two certifiers decide at once."""
    STAGE_LOST = "small machine lost"
    """The worker of a small stage dies, before or after it stored its result."""
    STAGE_NOTICE = "small machine notice"


class Moment(StrEnum):
    """A request that an instance is about to make. In this order a training makes them."""

    FETCH = "code"
    BOOT = "boot"
    EPOCH = "epoch"
    CHECKPOINT = "checkpoint"
    VERSION = "version"
    RESULT = "result"
    ANSWER = "answer"


class Kind(StrEnum):
    """What a run runs."""

    JOB = "job"
    """One training by the state machine `job`."""
    PIPELINE = "pipeline"
    """All stages to prod, by the four state machines."""


class Stage(StrEnum):
    """Jobs of a pipeline on small machines, by purpose."""

    DATASET = "dataset"
    MOVE = "move"
    APPLICATION_TEST = "application-test"
    READ_BACK = "read-back"


OF_PIPELINES: Final = frozenset({Fault.TWO_STARTS, Fault.TWO_DECISIONS, Fault.STAGE_LOST, Fault.STAGE_NOTICE})
OF_STAGES: Final = frozenset({Fault.STAGE_LOST, Fault.STAGE_NOTICE})
WITHOUT_MOMENT: Final = frozenset({Fault.TWO_STARTS, Fault.TWO_DECISIONS})
INTERRUPTING: Final = frozenset(
    {
        Fault.NOTICE,
        Fault.REBALANCE,
        Fault.TERMINATED,
        Fault.LOST,
        Fault.WORKER_KILLED,
        Fault.TRAINING_KILLED,
        Fault.SILENT,
        Fault.STORE_FAILS,
    }
)
"""Those that may cost a training's attempt."""

_TOGETHER: Final = (
    *(Fault.NOTICE, Fault.REBALANCE, Fault.TERMINATED, Fault.LOST, Fault.WORKER_KILLED, Fault.TRAINING_KILLED),
    *(Fault.LATE, Fault.SILENT, Fault.JANITOR),
)
"""What may come on top of a run's first fault."""

_MOMENTS: Final = {
    Fault.NOTICE: (Moment.BOOT, Moment.EPOCH, Moment.CHECKPOINT, Moment.RESULT),
    Fault.REBALANCE: (Moment.BOOT, Moment.EPOCH, Moment.CHECKPOINT),
    Fault.TERMINATED: (Moment.EPOCH, Moment.CHECKPOINT, Moment.VERSION),
    Fault.LOST: (Moment.EPOCH, Moment.CHECKPOINT, Moment.VERSION, Moment.RESULT, Moment.ANSWER),
    Fault.WORKER_KILLED: (Moment.EPOCH, Moment.CHECKPOINT, Moment.RESULT, Moment.ANSWER),
    Fault.TRAINING_KILLED: (Moment.EPOCH, Moment.CHECKPOINT, Moment.VERSION, Moment.RESULT),
    Fault.LATE: (Moment.EPOCH, Moment.VERSION),
    Fault.SILENT: (Moment.EPOCH, Moment.CHECKPOINT, Moment.VERSION, Moment.RESULT),
    Fault.STORE_FAILS: (Moment.FETCH, Moment.BOOT, Moment.EPOCH, Moment.CHECKPOINT, Moment.VERSION, Moment.RESULT),
    Fault.JANITOR: (Moment.BOOT, Moment.EPOCH, Moment.VERSION),
    Fault.CANCELLED: (Moment.BOOT, Moment.EPOCH, Moment.VERSION, Moment.ANSWER),
    Fault.STAGE_LOST: (Moment.RESULT, Moment.ANSWER),
    Fault.STAGE_NOTICE: (Moment.BOOT,),
}

OUTAGES: Final = ("closed", "503", "silent")
"""How S3 fails: no connection, an error as answer, no answer."""

DECISIONS: Final = ("certified+certified", "certified+refused", "refused+refused")
"""What two certifiers sign at once."""


@dataclass(frozen=True, kw_only=True)
class Injection:
    """One fault, and the request before which it happens."""

    fault: Fault
    moment: Moment | None = None
    """None: it belongs to the run as a whole."""
    epoch: int = 0
    """Of the moments `EPOCH` and `CHECKPOINT`: it happens at this one or the first later one."""
    stage: Stage | None = None
    """Whose request it is; None: the training's."""
    how: str = ""
    """Of `STORE_FAILS`, one of `OUTAGES`; of `TWO_DECISIONS`, one of `DECISIONS`."""

    def __str__(self) -> str:
        where = [str(part) for part in (self.stage, self.moment, self.epoch or None) if part is not None]
        text = f"{self.fault} ({self.how})" if self.how else str(self.fault)
        return f"{text} at {' '.join(where)}" if where else text


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run: its executions and its faults."""

    seed: int
    number: int
    kind: Kind
    injections: tuple[Injection, ...]

    @property
    def faults(self) -> frozenset[Fault]:
        """Which faults it has."""
        return frozenset(each.fault for each in self.injections)

    def __str__(self) -> str:
        return "; ".join(str(each) for each in self.injections)


def draw(seed: int, number: int) -> Plan:
    """The plan of a run, counted from 1. Of each `len(Fault)` runs in a row every fault is the first of one."""
    block, place = divmod(number - 1, len(Fault))
    first = Random(f"{seed}/block/{block}").sample(list(Fault), len(Fault))[place]
    random = Random(f"{seed}/run/{number}")
    kind = Kind.PIPELINE if first in OF_PIPELINES else Kind.JOB
    interruptions = int(first in INTERRUPTING)
    chosen = [first]
    for fault in random.sample(_TOGETHER, random.choice((0, 1, 1, 2))):
        if interruptions + (fault in INTERRUPTING) <= MOST_INTERRUPTIONS:
            interruptions += fault in INTERRUPTING
            chosen.append(fault)
    injections = sorted((_inject(random, fault) for fault in chosen), key=_when)
    return Plan(seed=seed, number=number, kind=kind, injections=tuple(injections))


def _inject(random: Random, fault: Fault) -> Injection:
    if fault is Fault.TWO_DECISIONS:
        return Injection(
            fault=fault, how=random.choice(("certified+certified", "certified+refused", "refused+refused"))
        )
    if fault in WITHOUT_MOMENT:
        return Injection(fault=fault)
    moment = random.choice(_MOMENTS[fault])
    epoch = random.randint(1, EPOCHS - 1) if moment in (Moment.EPOCH, Moment.CHECKPOINT) else 0
    stage = random.choice(list(Stage)) if fault in OF_STAGES else None
    how = random.choice(OUTAGES) if fault is Fault.STORE_FAILS else ""
    return Injection(fault=fault, moment=moment, epoch=epoch, stage=stage, how=how)


def _when(injection: Injection) -> tuple[bool, int, int, str]:
    """In the order in which a run comes to them."""
    moments = list(Moment)
    place = -1 if injection.moment is None else moments.index(injection.moment)
    together = place == moments.index(Moment.CHECKPOINT)
    return injection.stage is not None, place - together, injection.epoch, injection.fault
