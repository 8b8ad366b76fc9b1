"""`petpark experiment`: a challenger that runs next to the current version, and the rule that decides about it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer

from petpark.app import Invocation, example, group, invocation
from petpark.commands.formatting import Named
from petpark.commands.registry.decisions import Channel, Why
from petpark.endpoints import experiments, judging
from petpark.endpoints.experiments import ExperimentStatus
from petpark.errors import NOT_SO, StackNotDeployed, unwatched
from petpark.jobs import execution_events
from petpark.jobs.execution_events import StateEntered
from petpark.models import model_versions
from petpark.output.formats import bad, good, moment, short
from petpark.output.table import Cell
from petpark.targets.target import Target
from registry.channels.experiment import Conclusion, Entry, Experiment
from registry.channels.experiment_rule import Arm, Evidence, Rule, RuleInvalid

app = group("Experiments with a challenger version: shadow, canary, A/B.")

_USUAL = Rule()


class Mode(StrEnum):
    """How the challenger is used."""

    SHADOW = "shadow"
    CANARY = "canary"
    AB = "ab"


def _limit(name: str, help: str) -> Any:
    return typer.Option(f"--{name}", help=help, rich_help_panel="The rule")


@app.command(
    "start",
    epilog=example(
        'petpark experiment start 13 --channel prod --mode shadow --share 0.2 --why "new night photos"',
        'petpark experiment start 13 --channel prod --mode canary --share 0.05 --hours 12 --why "same latency?"',
    ),
)
def start(
    ctx: typer.Context,
    version: Named,
    channel: Channel,
    why: Why,
    mode: Annotated[
        Mode, typer.Option("--mode", help="shadow: compared, never returned; canary: some requests; ab: some callers.")
    ] = Mode.SHADOW,
    share: Annotated[float, typer.Option("--share", help="Share of requests or callers, above 0 and up to 1.")] = 0.1,
    hours: Annotated[float, typer.Option("--hours", help="Hours until it ends as undecided.", min=0.01)] = 48,
    least: Annotated[int, _limit("least", "Minimum answers per arm before it can win.")] = _USUAL.least,
    errors: Annotated[float, _limit("errors", "Maximum additional failure rate, from 0 to 1.")] = _USUAL.errors,
    slower: Annotated[
        float, _limit("slower", "Maximum additional mean latency, relative: 0.1 is 10 %.")
    ] = _USUAL.slower,
    disagreement: Annotated[
        float,
        _limit("disagreement", "Maximum share of photos with another label, except uncertain ones (canary, ab)."),
    ] = _USUAL.disagreement,
    confidence_shift: Annotated[
        float, _limit("confidence-shift", "Maximum drop of the mean confidence below the champion's.")
    ] = _USUAL.confidence_shift,
) -> None:
    """Start an experiment with a challenger; endpoints load and verify it within seconds, like any version.

    Nothing is decided yet: `petpark experiment judge` applies the rule stated here to what the endpoints measured.
    """
    run = invocation(ctx)
    try:
        rule = Rule(
            least=least, errors=errors, slower=slower, disagreement=disagreement, confidence_shift=confidence_shift
        )
    except RuleInvalid as error:
        raise typer.BadParameter(str(error)) from error
    if not 0 < share <= 1:
        raise typer.BadParameter(f"--share is {share:g}; it must be above 0 and at most 1")
    target = run.target()
    number = model_versions.resolve(target, version)
    begun = experiments.start(
        target, number, channel=channel, mode=mode.value, share=share, rule=rule, hours=hours, why=why
    )
    fields: dict[str, Cell] = {
        "experiment": str(begun.number),
        "challenger": f"version {begun.version} ({short(begun.digest)})",
        "champion": f"version {begun.champion}, entry {begun.entry} of {channel}",
        "mode": f"{begun.mode}, {begun.share:.0%}",
        "until": moment(begun.until),
        "by": begun.by,
    }
    run.output.record(fields, facts=asdict(begun))
    run.output.note(f"Decide it: petpark experiment judge --channel {channel} --watch")


@app.command(
    "judge",
    epilog=example("petpark experiment judge --channel prod", "petpark experiment judge --channel prod --watch"),
)
def judge(
    ctx: typer.Context,
    channel: Channel,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat until it is decided.")] = False,
) -> None:
    """Apply the experiment's rule to what the endpoints measured: promote, reject, or wait.

    With --watch a job of the pipeline applies it until it is decided, whether or not anybody watches.

    Exits with 0 if it was promoted or is still undecided, with 1 if it was rejected or ended otherwise.
    """
    run = invocation(ctx)
    targets = _targets(run)
    found = experiments.look(targets, channel)
    if watch and found.conclusion is None:
        found = _judge_by_job(run, targets, found)
    _show(run, found)
    if found.conclusion is not None and found.conclusion.outcome != "promoted":
        raise typer.Exit(NOT_SO)


def _judge_by_job(run: Invocation, targets: Sequence[Target], found: ExperimentStatus) -> ExperimentStatus:
    """Start the state machine that decides the experiment, and show its progress until it ends."""
    channel, execution = found.experiment.channel, judging.start(targets, found.experiment)
    run.output.stage(f"Job {execution.job} judges the experiment on {channel}")
    detached = unwatched(
        f"Job {execution.job} continues to judge the experiment on {channel}.",
        f"petpark experiment show --channel {channel}. Stop it: petpark experiment stop --channel {channel} --why ...",
    )
    with detached:
        for event in execution_events.follow(targets[0], execution):
            if isinstance(event, StateEntered):
                run.output.stage(f"{event.text}{f': {event.cause}' if event.cause else ''}")
    return judging.concluded(targets[0], found)


@app.command("stop", epilog=example('petpark experiment stop --channel prod --why "the wrong version"'))
def stop(ctx: typer.Context, channel: Channel, why: Why) -> None:
    """Stop the experiment without a decision; its measurements are kept."""
    run = invocation(ctx)
    _show(run, experiments.stop(_targets(run), channel, why=why))


@app.command("show", epilog=example("petpark experiment show --channel prod"))
def show(ctx: typer.Context, channel: Channel) -> None:
    """List the experiments of a channel, with their outcomes and evidence."""
    run = invocation(ctx)
    entries = experiments.history(run.target(), channel)
    rows = [_row(entry, _end_of(entry, entries)) for entry in entries if isinstance(entry, Experiment)]
    columns = ("experiment", "challenger", "champion", "mode", "begun", "by", "outcome", "evidence")
    run.output.table(columns, rows, facts=[asdict(entry) for entry in entries], empty=f"No experiment on {channel}.")


def _targets(run: Invocation) -> list[Target]:
    """Every stack that is deployed, the chosen one first: any of them may have endpoints that follow the channel."""
    first = run.target()
    return [first, *_others(run, first)]


def _others(run: Invocation, first: Target) -> Iterator[Target]:
    for stack in first.stacks:
        if stack != first.outputs.stack:
            try:
                yield run.target(stack)
            except StackNotDeployed:
                continue


def _show(run: Invocation, found: ExperimentStatus) -> None:
    experiment, conclusion = found.experiment, found.conclusion
    outcome = conclusion.outcome if conclusion else "running"
    fields: dict[str, Cell] = {
        "experiment": f"{experiment.number}: version {experiment.version} against {experiment.champion}",
        "mode": f"{experiment.mode}, {experiment.share:.0%}",
        "seen": _seen(found.evidence),
        "outcome": good(outcome) if outcome in {"promoted", "running"} else bad(outcome),
        "because": "; ".join(conclusion.reasons if conclusion else found.judgement.reasons),
    }
    if found.silent:
        fields["silent"] = bad(", ".join(found.silent))
    facts = {
        "experiment": asdict(experiment),
        "evidence": asdict(found.evidence),
        "mean_milliseconds": {
            "champion": _milliseconds(found.evidence.champion),
            "challenger": _milliseconds(found.evidence.challenger),
        },
        "silent": list(found.silent),
        "judgement": asdict(found.judgement),
        "conclusion": asdict(conclusion) if conclusion else None,
        "move": asdict(found.move) if found.move else None,
    }
    run.output.record(fields, facts=facts)


def _seen(evidence: Evidence) -> str:
    parts = [
        f"champion {_arm_text(evidence.champion)}",
        f"challenger {_arm_text(evidence.challenger)}",
        f"{evidence.disagreed} of {evidence.compared} compared differ" if evidence.compared else "",
        f"{evidence.left_out} left out" if evidence.left_out else "",
    ]
    return "; ".join(filter(None, parts)) + f" ({evidence.endpoints} endpoint{'s' * (evidence.endpoints != 1)})"


def _arm_text(arm: Arm) -> str:
    """What an arm did, with its mean time; nothing that was not measured is shown as a figure."""
    milliseconds = _milliseconds(arm)
    answers = "no answers yet" if milliseconds is None else f"{arm.answers} answers ({milliseconds:.1f} ms)"
    return f"{answers}, {arm.failures} failed"


def _milliseconds(arm: Arm) -> float | None:
    """The mean time of an answer; None before the first."""
    return 1000 * arm.seconds / arm.answers if arm.answers else None


def _row(entry: Experiment, end: Conclusion | None) -> tuple[Cell, ...]:
    outcome: Cell = end.outcome if end else "runs"
    return (
        str(entry.number),
        f"{entry.version} ({short(entry.digest)})",
        str(entry.champion),
        f"{entry.mode}, {entry.share:.0%}",
        moment(entry.at),
        entry.by,
        good(outcome) if outcome == "promoted" else outcome,
        _seen(end.evidence) if end else "petpark experiment judge",
    )


def _end_of(entry: Experiment, entries: list[Entry]) -> Conclusion | None:
    return next((each for each in entries if isinstance(each, Conclusion) and each.experiment == entry.number), None)
