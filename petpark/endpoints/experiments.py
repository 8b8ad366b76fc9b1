"""Experiments on a channel: start one, add up its endpoints' counts, and apply its decision rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from petpark.endpoints import endpoint_status
from petpark.models import decisions
from petpark.targets.target import Target
from registry.channels.experiment_rule import Evidence, Judgement, Mode, Rule, judge
from registry.clock import Clock, utc_now
from registry.encoding import Fields, parse_time
from registry.layout.roles import Role

if TYPE_CHECKING:
    from registry.channels.channel import ChannelEntry
    from registry.channels.experiment import Conclusion, Entry, Experiment, Experiments, Outcome
    from registry.channels.promotion import PromotionService
    from registry.version import Version


@dataclass(frozen=True, kw_only=True)
class ExperimentStatus:
    """The state of an experiment: its counts, the rule's judgement, and the outcome."""

    experiment: Experiment
    evidence: Evidence
    silent: tuple[str, ...]
    """Endpoints that did not report their counts."""
    judgement: Judgement
    conclusion: Conclusion | None = None
    move: ChannelEntry | None = None


def start(
    target: Target,
    number: int,
    *,
    channel: str,
    mode: Mode,
    share: float,
    rule: Rule,
    hours: float,
    why: str,
    clock: Clock = utc_now,
) -> Experiment:
    """Start an experiment with challenger version `number` on `channel`, as the stack's promoter, for at most `hours`.

    The channel's rule for promotions is checked now, so that a win can be promoted (except for its metric, which the
    experiment measures). Raises the errors of `decisions.promote`, and `NoChampion`, `ExperimentRunning`,
    `SameVersion`; `ExperimentVoid` if channel or certificate changed while it was started.
    """
    from registry.channels.promotion import require_reason
    from registry.errors.experiments import NoChampion

    require_reason("a reason", why)
    service = decisions.promotion_service(target, channel)
    by = target.identity(role=Role.PROMOTER)
    version = service.candidate(number, by=by, now=clock())
    champion = service.channel.head()
    if champion is None:
        raise NoChampion(channel)
    begun = _log(target, channel, clock).start(
        version,
        champion,
        mode=mode,
        share=share,
        rule=rule,
        until=clock() + timedelta(hours=hours),
        by=by,
        why=why,
    )
    _require_unchanged(service, begun, version, clock)
    return begun


def _require_unchanged(service: PromotionService, begun: Experiment, version: Version, clock: Clock) -> None:
    """Raises `ExperimentVoid` if the channel moved or the challenger was rejected while the experiment was started.

    A store that fails now does not void the experiment, because its start was written.
    """
    from registry.errors import KeyUnavailable, LogShorter, NotCertified, StoreUnavailable
    from registry.errors.experiments import ExperimentVoid

    try:
        service.check(version, clock())
        head = service.channel.head()
    except NotCertified as error:
        expected = f"a valid certificate for version {version.number}"
        raise ExperimentVoid(begun.channel, begun.number, expected=expected, actual=error.actual) from error
    except (StoreUnavailable, KeyUnavailable, LogShorter):
        return
    if head is not None and head.number != begun.entry:
        moved = f"entry {head.number}: version {head.version} by {head.by} ({head.why})"
        raise ExperimentVoid(begun.channel, begun.number, expected=f"the channel at entry {begun.entry}", actual=moved)


def history(target: Target, channel: str) -> list[Entry]:
    """Returns every start and end of an experiment on `channel`, oldest first."""
    return _log(target, channel, utc_now, role=Role.READER).history()


def look(targets: Sequence[Target], channel: str, *, clock: Clock = utc_now, decide: bool = True) -> ExperimentStatus:
    """Collect the counts of the channel's endpoints and apply the rule; `decide` False: only report. Returns the state.

    A win promotes the challenger, as `decisions.promote` does. If that is refused, the experiment continues. Raises
    `NoExperiment`.
    """
    from registry.channels.experiment import Experiment
    from registry.errors.experiments import NoExperiment

    target = targets[0]
    log = _log(target, channel, clock, role=Role.PROMOTER if decide else Role.READER)
    experiment = log.head()
    if not isinstance(experiment, Experiment):
        raise NoExperiment(channel)
    seen = gather(targets, experiment)
    found = ExperimentStatus(
        experiment=experiment,
        evidence=seen.evidence,
        silent=seen.silent,
        judgement=judge(experiment.rule, experiment.mode, seen.evidence),
    )
    return _decide(target, log, found, clock) if decide else found


def stop(targets: Sequence[Target], channel: str, *, why: str, clock: Clock = utc_now) -> ExperimentStatus:
    """End the experiment on `channel` without a decision, and record its counts. Returns the state.

    Raises `NoExperiment`, `ReasonMissing`.
    """
    from dataclasses import replace

    from registry.channels.promotion import require_reason

    require_reason("a reason", why)
    found = look(targets, channel, clock=clock, decide=False)
    log = _log(targets[0], channel, clock)
    return replace(found, conclusion=_conclude(targets[0], log, found, "stopped", (why,)))


@dataclass(frozen=True, kw_only=True)
class ObservedCounts:
    """The counts of all endpoints, and the endpoints that did not respond."""

    evidence: Evidence
    silent: tuple[str, ...]


def gather(targets: Sequence[Target], experiment: Experiment) -> ObservedCounts:
    """Returns the sum of the counts of all processes that follow the experiment's channel."""
    evidence, silent = Evidence(), []
    for target in targets:
        if target.outputs.endpoint.channel == experiment.channel:
            told, missing = endpoint_status.ask_everyone(target)
            silent += missing
            for served in told:
                try:
                    evidence = sum(_counted(served, experiment), evidence)
                except ValueError:  # other code, which counts differently
                    silent.append(str(served.get("instance")))
    return ObservedCounts(evidence=evidence, silent=tuple(silent))


def _counted(served: dict[str, object], experiment: Experiment) -> Iterator[Evidence]:
    told = served.get("experiment")
    if isinstance(told, dict):
        fields = Fields(told)
        if fields.count("number") == experiment.number and fields.text("digest") == experiment.digest:
            yield Evidence.read(fields.nested("evidence"))


def _decide(target: Target, log: Experiments, found: ExperimentStatus, clock: Clock) -> ExperimentStatus:
    from dataclasses import replace

    experiment, judgement = found.experiment, found.judgement
    service = decisions.promotion_service(target, experiment.channel)
    head = service.channel.head()
    if head is not None and head.number != experiment.entry:
        return replace(found, conclusion=_conclude(target, log, found, *_moved(experiment, head)))
    if judgement.ruling == "reject":
        return replace(found, conclusion=_conclude(target, log, found, "rejected", judgement.reasons))
    if judgement.ruling == "promote":
        move = service.promote(
            experiment.version,
            by=target.identity(role=Role.PROMOTER),
            why=f"experiment {experiment.number} ({experiment.mode}): {'; '.join(judgement.reasons)}",
            expected=experiment.entry,
            now=clock(),
        )
        return replace(found, move=move, conclusion=_conclude(target, log, found, "promoted", judgement.reasons))
    if clock() >= parse_time(experiment.until):
        return replace(found, conclusion=_conclude(target, log, found, "undecided", judgement.reasons))
    return found


def _moved(experiment: Experiment, head: ChannelEntry) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome after a channel move: a win promoted by an interrupted run, or a void experiment."""
    if head.number == experiment.entry + 1 and head.digest == experiment.digest:
        return "promoted", (head.why,)
    return "stopped", (f"the channel moved to version {head.version} (entry {head.number}, by {head.by}): {head.why}",)


def _conclude(
    target: Target, log: Experiments, found: ExperimentStatus, outcome: Outcome, reasons: tuple[str, ...]
) -> Conclusion:
    return log.conclude(
        found.experiment,
        outcome=outcome,
        reasons=reasons,
        evidence=found.evidence,
        by=target.identity(role=Role.PROMOTER),
    )


def _log(target: Target, channel: str, clock: Clock, *, role: Role = Role.PROMOTER) -> Experiments:
    from registry.channels.experiment import Experiments

    store = target.store(target.outputs.model_store, role=role)
    return Experiments(store, target.outputs.model, channel, clock=clock, memory=target.chains())
