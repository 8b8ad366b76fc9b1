"""How long a job is waited for: an instance that neither reports nor ends must not be watched forever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from petpark.errors import JobOverdue
from petpark.jobs import training_instances
from registry import layout

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from petpark.targets.target import Target

APPEARS_WITHIN = 60.0
"""Seconds after which a launched instance that nobody has seen counts as ended: EC2 is eventually consistent."""


class OverdueWatch:
    """Measures, by this machine's clock alone, how long the same instance of a job has been seen alive, or none was.

    A job ends itself after its own time (`train --max-minutes`), and an instance may take ten minutes besides, to boot
    and to end: `training.search.budget.AROUND`. Raises training's `JobMissing`, `SpecMalformed`.
    """

    def __init__(self, target: Target, job: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        from training.job import load_spec
        from training.search.budget import AROUND

        spec = load_spec(target.store(target.outputs.workspace, role=layout.Role.PUBLISHER), job)
        self._job = job
        self._most = spec.max_seconds + AROUND
        self._clock = clock
        self._seen = ""
        self._since = clock()

    def look(self, instance: InstanceTypeDef | None) -> bool:
        """Whether an instance is at work, or may still appear; raises `JobOverdue` once it is beyond its time."""
        seen = "" if instance is None else instance.get("InstanceId", "")
        if seen != self._seen:
            self._seen, self._since = seen, self._clock()
        waited = self._clock() - self._since
        if instance is None:
            return waited < APPEARS_WITHIN
        if not training_instances.is_alive(instance):
            return False
        if waited > self._most:
            raise JobOverdue(
                f"Job {self._job} has no result, and its instance {seen} has been {training_instances.state(instance)} "
                f"for {waited / 60:.0f} minutes, of {self._most / 60:.0f} that it may take: it hangs, or cannot reach "
                "the workspace.",
                next_step=(
                    f"See what it said: petpark jobs logs {self._job}, or aws ec2 get-console-output --instance-id "
                    f"{seen}. End it: petpark jobs cancel {self._job} --why ..., or aws ec2 terminate-instances "
                    f"--instance-ids {seen} and petpark train --resume {self._job}"
                ),
                job=self._job,
                instance=seen,
            )
        return True
