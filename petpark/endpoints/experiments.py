"""Experiments on a channel: start one, sum up what its endpoints measured, and apply the stated rule."""

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
from registry.layout import Role

if TYPE_CHECKING:
    from registry.channels.channel import ChannelEntry
    from registry.channels.experiment import Conclusion, Entry, Experiment, Experiments, Outcome
    from registry.channels.promotion import PromotionService
    from registry.version import Version


@dataclass(frozen=True, kw_only=True)
class ExperimentStatus:
    """One look at an experiment: what was seen, what the rule says, and what came of it."""

    experiment: Experiment
    evidence: Evidence
    silent: tuple[str, ...]
    """Endpoints that did not say what they saw."""
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
    """Set version `number` next to the active version on `channel`, as the stack's promoter, for at most `hours`.

    What the channel asks of a promotion is asked now (but for the metric, which the experiment is there to find), so
    that a win can be carried out. Raises what `decisions.promote` raises, and `NoChampion`, `ExperimentRunning`,
    `SameVersion`; `ExperimentVoid` where it was begun, and what it rests on changed meanwhile.
    """
    from registry.channels.promotion import require_reason
    from registry.errors.experiments import NoChampion

    require_reason("a reason", why)
    desk = decisions.promotion_service(target, channel)
    by = target.identity(role=Role.PROMOTER)
    version = desk.candidate(number, by=by, now=clock())
    champion = desk.channel.head()
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
    _look_back(desk, begun, version, clock)
    return begun


def _look_back(desk: PromotionService, begun: Experiment, version: Version, clock: Clock) -> None:
    """`ExperimentVoid` if the channel moved, or somebody decided against the challenger, while it was begun.

    A store that does not answer any more says nothing about the experiment, which was written.
    """
    from registry.errors import KeyUnavailable, LogShorter, NotCertified, StoreUnavailable
    from registry.errors.experiments import ExperimentVoid

    try:
        desk.check(version, clock())
        head = desk.channel.head()
    except NotCertified as error:
        expected = f"a valid certificate for version {version.number}"
        raise ExperimentVoid(begun.channel, begun.number, expected=expected, actual=error.actual) from error
    except (StoreUnavailable, KeyUnavailable, LogShorter):
        return
    if head is not None and head.number != begun.entry:
        moved = f"entry {head.number}: version {head.version} by {head.by} ({head.why})"
        raise ExperimentVoid(begun.channel, begun.number, expected=f"the channel at entry {begun.entry}", actual=moved)


def history(target: Target, channel: str) -> list[Entry]:
    """Every beginning and end on `channel`, oldest first."""
    return _log(target, channel, utc_now, role=Role.READER).history()


def look(targets: Sequence[Target], channel: str, *, clock: Clock = utc_now, decide: bool = True) -> ExperimentStatus:
    """Ask the endpoints that follow `channel` what they saw, and do what the rule says; `decide` False: only look.

    A win moves the channel as `decisions.promote` does, and may be refused as that may be: then the experiment
    continues. Raises `NoExperiment`.
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
    """End the experiment on `channel` whatever it shows, keeping what was seen.

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
    """What all endpoints together saw, and which of them said nothing."""

    evidence: Evidence
    silent: tuple[str, ...]


def gather(targets: Sequence[Target], experiment: Experiment) -> ObservedCounts:
    """Add up what every process that follows the experiment's channel counted, each of them once."""
    evidence, silent = Evidence(), []
    for target in targets:
        if target.outputs.endpoint.channel == experiment.channel:
            told, missing = endpoint_status.ask_everyone(target)
            silent += missing
            for served in told:
                try:
                    evidence = sum(_counted(served, experiment), evidence)
                except ValueError:  # code of another time, which counts otherwise
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
    desk = decisions.promotion_service(target, experiment.channel)
    head = desk.channel.head()
    if head is not None and head.number != experiment.entry:
        return replace(found, conclusion=_conclude(target, log, found, *_moved(experiment, head)))
    if judgement.ruling == "reject":
        return replace(found, conclusion=_conclude(target, log, found, "rejected", judgement.reasons))
    if judgement.ruling == "promote":
        move = desk.promote(
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
    """What it means that the channel moved: that a win was carried out by a run that could not say so, or the end."""
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
