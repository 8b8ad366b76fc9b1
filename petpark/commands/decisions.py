"""`petpark certify`, `promote`, `rollback`: what only people decide."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from petpark import decisions
from petpark.app import example, invocation

Version = Annotated[int, typer.Argument(help="Number of the version.", min=1)]
Channel = Annotated[str, typer.Option("--channel", help="The channel to move, such as test or prod.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept in the channel's log.")]


class Decision(StrEnum):
    """What a QA expert can say about a version."""

    CERTIFIED = "certified"
    REFUSED = "refused"
    REVOKED = "revoked"


def certify(
    ctx: typer.Context,
    version: Version,
    decision: Annotated[Decision, typer.Option("--decision", help="The decision to sign.")],
    note: Annotated[str, typer.Option("--note", help="What was looked at, and what was seen.")],
    report: Annotated[
        Path | None, typer.Option("--report", help="The report it rests on (default: the version's own).")
    ] = None,
    days: Annotated[int, typer.Option("--days", help="Days until the certificate ends.", min=1)] = 90,
) -> None:
    """Sign a decision about exactly these bytes, as the stack's certifier."""
    run = invocation(ctx)
    certificate = decisions.certify(run.target(), version, decision=decision.value, note=note, report=report, days=days)
    run.output.record(
        {
            "version": str(version),
            "decision": decision,
            "by": certificate.by,
            "until": certificate.expires_at or "for good",
            "note": note,
        },
        facts=asdict(certificate),
    )


def promote(ctx: typer.Context, version: Version, channel: Channel, why: Why) -> None:
    """Move a channel to a version; its endpoints follow within seconds. Only `test` takes uncertified ones."""
    run = invocation(ctx)
    move = decisions.promote(run.target(), version, channel=channel, why=why)
    run.output.record(
        {
            "channel": channel,
            "version": str(move.version),
            "before": str(move.previous or "none"),
            "move": str(move.number),
            "by": move.by,
        },
        facts=asdict(move),
    )


def rollback(
    ctx: typer.Context,
    channel: Channel,
    why: Why,
    to: Annotated[
        int | None, typer.Option("--to", help="Go back to this version (default: the one before).", min=1)
    ] = None,
) -> None:
    """Move a channel back to the version before, or to an older one."""
    run = invocation(ctx)
    move = decisions.roll_back(run.target(), channel=channel, why=why, to=to)
    run.output.record(
        {
            "channel": channel,
            "version": str(move.version),
            "before": str(move.previous or "none"),
            "move": str(move.number),
            "by": move.by,
        },
        facts=asdict(move),
    )


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
