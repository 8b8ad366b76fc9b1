"""Version 2 of a rehearsal without additional photos: a person starts a job that continues from version 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petpark.jobs import execution_events, executions, submission
from petpark.jobs.execution_events import StateEntered
from petpark.jobs.submission import EpochFinished, Finished, ProgressReported
from petpark.models import gates, model_versions
from petpark.models.gates import Judgement
from petpark.targets.target import Target
from rehearsal.environment import Environment
from rehearsal.report.steps import Step, Steps
from rehearsal.scenario import pipeline_watch
from rehearsal.scenario.facts_so_far import FactsSoFar
from rehearsal.scenario.scenario_options import CHECKS, SEED, ScenarioOptions
from training.networks.pretrained import PACKAGED

_POLL_SECONDS = 0.5


class SecondTraining:
    """Trains version 2 with an execution of the state machine `job`."""

    def __init__(self, environment: Environment, steps: Steps, facts: FactsSoFar, script: ScenarioOptions) -> None:
        self._environment = environment
        self._steps = steps
        self._facts = facts
        self._script = script

    def run(self, dataset: str, first: int) -> int:
        """Train on `dataset` (its hash), starting from version `first`. Returns the new version's number."""
        with self._steps.step("train version 2 on an instance") as step:
            target, script = self._environment.target("test"), self._script
            spec = submission.plan(
                target,
                dataset,
                script.recipe + script.second_recipe,
                recipe=script.base,
                seed=SEED + 2,
                initial_weights=self._weights(target, first),
                checks=CHECKS,
            )
            submission.admit(target, spec)
            job = submission.submit(target, spec)
            version = _follow(step, target, job)
            judged = gates.judgement(target, version)
            self._facts.judged(judged)
            lineage = model_versions.version(target, version).lineage
            step.done(f"{trained(version, judged, lineage)}, job {job}", by=spec.requested_by)
            return version

    def _weights(self, target: Target, first: int) -> str:
        """Hash of the initial weights: ImageNet's for a frozen network, else those of version `first`."""
        parameters = self._script.parameters(2)
        if parameters.frozen:
            return PACKAGED[parameters.architecture].sha256
        return submission.weights_of(model_versions.version(target, first))


def _follow(step: Step, target: Target, job: str) -> int:
    """Show a job's progress. Returns the number of the version that it publishes. Raises the job's error."""
    quarters: set[tuple[str, int]] = set()  # of each stage: the log gets a line per quarter
    for event in execution_events.follow(target, executions.start_training(target, job), poll=_POLL_SECONDS):
        match event:
            case EpochFinished(record=record):
                (step.stage if pipeline_watch.at_a_quarter(record.epoch, record.of) else step.progress)(
                    submission.sentence(record)
                )
            case ProgressReported(record=record):
                quarter = record.doing, 4 * record.done // record.of
                (step.progress if quarter in quarters else step.stage)(submission.sentence(record))
                quarters.add(quarter)
            case Finished(result=result) if result.version is not None:
                return result.version
            case StateEntered(text=text):
                step.stage(text)
            case _:  # what it has cost so far, or a record that cannot be read
                pass
    raise AssertionError("a followed job either finishes or raises")


def trained(version: int, judged: Judgement, lineage: Mapping[str, Any]) -> str:
    """The result of a training, and why it differs from the request if pretrained weights were not available."""
    summary = f"version {version}, {_gates(judged)}"
    return f"{summary}, {lineage['instead']}" if "instead" in lineage else summary


def _gates(judged: Judgement) -> str:
    """The gates' results, for a step's line; the channel's rule decides whether the version may go to prod."""
    against = {"failed gates": judged.failed, "gates not measured": judged.unmeasured}
    if summary := [f"{what}: {', '.join(each.name for each in those)}" for what, those in against.items() if those]:
        return "; ".join(summary)
    return f"{len(judged.verdicts)} gates passed"
