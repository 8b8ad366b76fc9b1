"""`petpark certify`, `promote`, `rollback`: decisions that only people make."""

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from petpark.app import Invocation, example, invocation
from petpark.commands.formatting import Named, named_option
from petpark.errors import NOT_SO
from petpark.models import decisions, model_versions
from petpark.models.decisions import Successors
from petpark.output.formats import bad, moment, short
from petpark.output.table import Cell
from petpark.pipeline import certification
from petpark.pipeline.certification import Notified
from petpark.targets.target import Target
from registry.channel_policy import ChannelPolicy
from registry.channels.channel import ChannelEntry
from registry.identity import person

Channel = Annotated[str, typer.Option("--channel", help="Channel to change, such as test or prod.")]
Why = Annotated[str, typer.Option("--why", help="Reason, kept in the channel's log.")]


class Decision(StrEnum):
    """Decisions of a QA expert about a version."""

    CERTIFIED = "certified"
    REFUSED = "refused"
    REVOKED = "revoked"


def certify(
    ctx: typer.Context,
    version: Named,
    decision: Annotated[Decision, typer.Option("--decision", help="Decision to sign.")],
    note: Annotated[str, typer.Option("--note", help="What was examined, and what was found.")],
    report: Annotated[
        Path | None, typer.Option("--report", help="Report that the decision is based on. Default: the version's own.")
    ] = None,
    days: Annotated[
        int | None,
        typer.Option("--days", help="Days until the certificate expires. Default: 90, or the maximum allowed.", min=1),
    ] = None,
    despite: Annotated[
        list[str] | None,
        typer.Option("--despite", help="Certify although this gate was not passed. Repeatable."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation if the version is being served.")
    ] = False,
) -> None:
    """Sign a decision about a version's exact bytes, as the stack's certifier.

    Nobody may certify or refuse a version that they trained or requested; any certifier may revoke. Each gate that the
    version did not pass must be named; the certificate records it.
    """
    run = invocation(ctx)
    target = run.target()
    number = model_versions.resolve(target, version)
    if decision is not Decision.CERTIFIED:
        _warn(run, target, number, decision, yes=yes)
    certificate = decisions.certify(
        target, number, decision=decision.value, note=note, report=report, days=days, despite=despite or ()
    )
    woken = certification.answer(target, certificate)
    after = decisions.successors(target, certificate) if decision is Decision.CERTIFIED else []
    fields: dict[str, Cell] = {
        "version": str(number),
        "decision": decision,
        "by": certificate.by,
        "until": moment(certificate.expires_at) if certificate.expires_at else "for good",
        "report": short(certificate.report_sha256) if certificate.report_sha256 else "none",
        "note": note,
    }
    if certificate.despite:
        fields["despite"] = bad(", ".join(certificate.despite))
    fields |= {f"pipeline {each.execution}": _notified(each) for each in woken}
    fields |= {f"next, for {entry.channel}": _who(entry) for entry in after}
    facts = {"may_promote": [asdict(entry) for entry in after], "pipelines": [asdict(each) for each in woken]}
    run.output.record(fields, facts={**asdict(certificate), **facts})


def _notified(each: Notified) -> Cell:
    """What a pipeline makes of the decision."""
    if each.problem:
        return bad(each.problem)
    if each.waited:
        return "continues"
    return f"has ended without this decision; to continue: petpark pipeline retry {each.execution}, then certify again"


def _warn(run: Invocation, target: Target, version: int, decision: Decision, *, yes: bool) -> None:
    """Show the consequences for channels at `version`, and ask for confirmation."""
    follows = decisions.consequences(target, version)
    for each in follows:
        run.output.err.print(each.effect, markup=False, soft_wrap=True)
    if follows and not yes:
        names = ", ".join(each.channel for each in follows)
        if not run.output.confirm(f"Version {version} is active on {names}. Sign `{decision}` anyway?"):
            run.output.err.print("Nothing was signed.")
            raise typer.Exit(NOT_SO)


def promote(
    ctx: typer.Context,
    version: Named,
    channel: Channel,
    why: Why,
    create_channel: Annotated[
        bool, typer.Option("--create-channel", help="Create a channel that no stack declares.")
    ] = False,
) -> None:
    """Set a channel's version; its endpoints follow within seconds.

    A channel's rule is declared as petpark:channels in the stack that owns the registry. A channel that no stack
    declares requires a valid certificate and a person other than the certifier.
    """
    run = invocation(ctx)
    target = run.target()
    _warn_undeclared(run, target, channel)
    number = model_versions.resolve(target, version)
    _show(run, target, decisions.promote(target, number, channel=channel, why=why, create_channel=create_channel))


def rollback(
    ctx: typer.Context,
    channel: Channel,
    why: Why,
    to: Annotated[str, named_option("--to", "Version to go back to. Default: the previous one.")] = "",
    again: Annotated[bool, typer.Option("--yes", help="Allow a version that was itself rolled back.")] = False,
) -> None:
    """Set a channel back to the previous version, or to an older one, and show why that version was replaced.

    If the channel requires certificates (as undeclared channels do), the older version's must be valid. No second
    person is required.
    """
    run = invocation(ctx)
    target = run.target()
    _warn_undeclared(run, target, channel)
    number = model_versions.resolve(target, to) if to else None
    done = decisions.roll_back(target, channel=channel, why=why, to=number, again=again)
    _show(run, target, done.move, left=done.left)


def _warn_undeclared(run: Invocation, target: Target, channel: str) -> None:
    if channel not in target.outputs.channels:
        declared = ", ".join(sorted(target.outputs.channels)) or "none"
        asked = _asked(decisions.rule(target, channel))
        run.output.note(f"No stack declares channel {channel} (declared: {declared}); it requires {asked}.")


def _show(run: Invocation, target: Target, move: ChannelEntry, *, left: ChannelEntry | None = None) -> None:
    policy = decisions.rule(target, move.channel)
    rule: Mapping[str, Any] = {**policy.to_dict(), "declared": move.channel in target.outputs.channels}
    fields: dict[str, Cell] = {
        "channel": move.channel,
        "version": str(move.version),
        "before": str(move.previous or "none"),
        "move": str(move.number),
        "by": move.by,
        "rule": _asked(policy) + ("" if rule["declared"] else " (no stack declares the channel)"),
    }
    if left is not None:
        fields["had left"] = f"{moment(left.at)}, for version {left.version}, by {person(left.by)}: {left.why}"
    run.output.record(fields, facts={**asdict(move), "rule": rule, "left": asdict(left) if left else None})


def _asked(policy: ChannelPolicy) -> str:
    """What a channel requires, as the end of a sentence."""
    parts = [
        "a valid certificate" if policy.certificate else "",
        "a person other than the certifier" if policy.two_people else "",
        "all gates passed" if policy.gates else "",
        f"{policy.metric} no lower than before" if policy.metric else "",
        f"a move by {' or '.join(policy.movers)}" if policy.movers else "",
    ]
    return ", ".join(filter(None, parts)) or "nothing"


def _who(entry: Successors) -> str:
    if entry.movers is None:
        return f"every promoter except {entry.but} may promote it"
    if not entry.movers:
        return f"no person may promote it: {entry.but} certified it and is the channel's only allowed promoter"
    return f"{' or '.join(entry.movers)} may promote it"


def register(app: typer.Typer) -> None:
    """Add the three commands to the program."""
    app.command(
        "certify",
        epilog=example(
            'petpark certify 12 --decision certified --report acceptance.html --note "400 frames, camera 3 at night"'
        ),
    )(certify)
    app.command("promote", epilog=example('petpark promote 12 --channel prod --why "certified, 97.4 % on camera 3"'))(
        promote
    )
    app.command("rollback", epilog=example('petpark rollback --channel prod --why "misses grey cats at dusk"'))(
        rollback
    )
