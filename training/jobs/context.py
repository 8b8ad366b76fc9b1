"""Context of a running job: spec, stores, time limit, and progress reports."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry.channels.channel import Channel
from registry.store.object_store import ObjectStore
from registry.versions.catalog import Catalog
from training.distributed.group import Group
from training.errors import Interrupted, TookTooLong
from training.fitting.checkpoint import CheckpointStore
from training.job import JobSpec
from training.jobs.epochs import Epochs
from training.jobs.logs import ReportEvent
from training.networks.pretrained import PackagedWeights, find_packaged

_LOCK: Final = Path(__file__).parents[2] / "requirements" / "training.txt"


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """Context of a job that runs in this process."""

    job: str
    records: Epochs  # of epochs and progress
    spec: JobSpec
    workspace: CheckpointStore
    lake: ObjectStore
    catalog: Catalog
    directory: Path
    prod: Channel | None
    interrupted: Callable[[], bool]
    deadline: float
    trained_by: str
    report: ReportEvent
    clock: Callable[[], float]
    group: Group | None  # this process is its leader; None if it trains alone
    instead: str | None = None  # why the job trains with other settings than requested

    @property
    def packaged_weights(self) -> PackagedWeights | None:
        """The weights of an installed package from which the job starts; None if it starts from others or from none."""
        return find_packaged(self.spec.initial_weights) if self.spec.initial_weights else None

    def lineage(self) -> dict[str, str]:
        """Returns the version's sources, and who requested it."""
        spec = self.spec
        facts = {
            "run": self.job,
            "dataset": spec.dataset,
            "code": spec.code,
            "lock": hashlib.sha256(_LOCK.read_bytes()).hexdigest() if _LOCK.is_file() else None,
            "seed": str(spec.seed),
            "initial_weights": spec.initial_weights,
            "initial_weights_from": weights.sentence if (weights := self.packaged_weights) else None,
            "instead": self.instead,
            "trained_by": self.trained_by,
            "requested_by": spec.requested_by,
        }
        return {name: fact for name, fact in facts.items() if fact is not None}

    def should_stop(self) -> bool:
        """Whether the job was interrupted. Raises `TookTooLong` after its time limit."""
        if self.clock() > self.deadline:
            raise TookTooLong(
                f"not finished after {self.spec.max_seconds} s; allow more time, or use fewer epochs or smaller photos"
            )
        return self.interrupted()

    def check(self) -> None:
        """Raise `Interrupted` or `TookTooLong` if the job must stop."""
        if self.should_stop():
            raise Interrupted("interrupted while photos were loaded; no progress was lost")
