"""Decide an experiment with an execution of the state machine, so that it does not depend on an operator's machine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from petpark.endpoints import experiments
from petpark.jobs import executions
from petpark.jobs.executions import Execution, JobRequest
from registry.channels.experiment import Conclusion
from registry.clock import Clock, utc_now
from registry.encoding import parse_time
from registry.layout.roles import Role

if TYPE_CHECKING:
    from petpark.endpoints.experiments import ExperimentStatus
    from petpark.targets.target import Target
    from registry.channels.experiment import Experiment

_AROUND_SECONDS: Final = 3600
"""After an experiment's end: time to record that it is undecided, and for delays."""


def start(targets: Sequence[Target], experiment: Experiment, *, clock: Clock = utc_now) -> Execution:
    """Returns the execution that applies an experiment's rule until it is decided: a running one, else a new one."""
    left = max(0.0, (parse_time(experiment.until) - clock()).total_seconds())
    followers = [each for each in targets if each.outputs.endpoint.channel == experiment.channel]
    named = f"{experiment.channel}/{experiment.number}/{experiment.digest}"
    request = JobRequest(
        job=f"canary-{hashlib.sha256(named.encode()).hexdigest()[:16]}",
        purpose="canary",
        machine="small",
        max_seconds=math.ceil(left) + _AROUND_SECONDS,
        requested_by=targets[0].identity(role=Role.PUBLISHER),
        inputs={
            "version": experiment.version,
            "digest": experiment.digest,
            "channel": experiment.channel,
            "stack": (followers or targets)[0].outputs.stack,
            "mode": experiment.mode,
            "share": experiment.share,
            "hours": max(left, 60) / 3600,
            "why": experiment.why,
        },
    )
    return executions.start(targets[0], request)


def concluded(target: Target, seen: ExperimentStatus) -> ExperimentStatus:
    """Returns the current state of an experiment, with its end if it has one."""
    for entry in experiments.history(target, seen.experiment.channel):
        if isinstance(entry, Conclusion) and entry.experiment == seen.experiment.number:
            return replace(seen, conclusion=entry, evidence=entry.evidence)
    return seen
