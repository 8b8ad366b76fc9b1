"""The purpose `canary`: run an experiment with a challenger on a channel until its rule decides."""

from dataclasses import dataclass
from typing import Final

from petpark.endpoints import experiments
from petpark.worker.purposes.findings import Assignment, Findings
from registry.channels.channel import Channel
from registry.channels.experiment import MODES, Experiment, Experiments
from registry.channels.experiment_rule import Evidence, Mode, Rule
from registry.encoding import DIGEST, NAME, Fields
from registry.layout.roles import Role
from registry.versions.catalog import Catalog

_POLL_SECONDS: Final = 30.0

RULE: Final = Rule(disagreement=0.5)
"""A better version does not change more than half of the answers, but one with swapped labels does. A lower limit would
reject versions trained because the champion fails with high confidence, for example at night."""


@dataclass(frozen=True, kw_only=True)
class CanaryInputs:
    """The challenger, its channel and stack, and the duration of the experiment."""

    version: int
    digest: str
    channel: str
    stack: str
    mode: Mode
    share: float
    hours: float
    why: str

    @classmethod
    def read(cls, fields: Fields) -> "CanaryInputs":
        """Returns the inputs. Raises ValueError."""
        mode = fields.text("mode")
        if mode not in MODES:
            raise ValueError(f"mode cannot be {mode!r}; expected one of {', '.join(MODES)}")
        return cls(
            version=fields.count("version"),
            digest=fields.text("digest", DIGEST),
            channel=fields.text("channel", NAME),
            stack=fields.text("stack"),
            mode=mode,
            share=fields.number("share"),
            hours=fields.number("hours"),
            why=fields.text("why"),
        )


def run(assignment: Assignment) -> Findings:
    """Start an experiment, or continue that of an earlier attempt, and wait for the decision of its rule.

    Outcomes: `promoted`, `rejected`, `undecided`, `skipped` (the channel has no version to compare with). Raises
    OrderMalformed, what `petpark.endpoints.experiments` raises, Interrupted, TookTooLong.
    """
    inputs = assignment.order.read(CanaryInputs.read)
    own, target = assignment.target(), assignment.open_target(inputs.stack)
    store = own.store(own.outputs.model_store, role=Role.PROMOTER)
    Catalog(store, own.outputs.model).version(inputs.version, digest=inputs.digest)
    head = Channel(store, own.outputs.model, inputs.channel, memory=own.chains()).head()
    if head is None:
        return _found(inputs, "skipped", f"{inputs.channel} has no version to compare with")
    if head.digest == inputs.digest:
        return _found(
            inputs, "promoted", f"{inputs.channel} has been at version {inputs.version} since entry {head.number}"
        )
    running = Experiments(store, own.outputs.model, inputs.channel, memory=own.chains()).head()
    if not (isinstance(running, Experiment) and running.digest == inputs.digest):
        experiments.start(
            own,
            inputs.version,
            channel=inputs.channel,
            mode=inputs.mode,
            share=inputs.share,
            rule=RULE,
            hours=inputs.hours,
            why=inputs.why,
        )
    while True:
        seen = experiments.look([target] if own.outputs.stack == inputs.stack else [own, target], inputs.channel)
        if seen.conclusion is not None:
            outcome = seen.conclusion.outcome
            text = f"experiment {seen.experiment.number} was {outcome}: {'; '.join(seen.conclusion.reasons)}"
            # A person stopped the experiment or moved the channel: the challenger did not win.
            return _found(inputs, "rejected" if outcome == "stopped" else outcome, text, seen.evidence)
        assignment.wait(_POLL_SECONDS)


def _found(inputs: CanaryInputs, outcome: str, message: str, evidence: Evidence | None = None) -> Findings:
    metrics: dict[str, float] = {}
    if evidence is not None:
        metrics = {
            "champion_answers": evidence.champion.answers,
            "challenger_answers": evidence.challenger.answers,
            "challenger_failures": evidence.challenger.failures,
            "compared": evidence.compared,
            "disagreed": evidence.disagreed,
        }
    return Findings(outcome=outcome, version=inputs.version, digest=inputs.digest, message=message, metrics=metrics)
