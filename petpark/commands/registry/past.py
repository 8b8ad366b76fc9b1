"""`petpark models at`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from petpark.app import example, invocation
from petpark.models import past
from petpark.models.past import ActiveThen
from petpark.output.formats import bad, good, moment, short
from petpark.output.table import Cell
from registry.clock import utc_now
from registry.encoding import parse_time
from registry.identity import person

_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""Long before the first version of petpark, and so late that no calculation with it leaves the calendar."""


def parse_moment(text: str) -> datetime:
    """Read a moment in ISO 8601; UTC where it names no time zone. Raises `typer.BadParameter`."""
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text[:100]!r} is not a time; write it like 2026-08-01T12:00 (UTC).") from None
    if found < _EARLIEST:
        raise typer.BadParameter(f"{text} is before everything that is recorded: {_EARLIEST:%Y-%m-%d}.")
    if found > utc_now():
        raise typer.BadParameter(f"{text} is in the future.")
    return found


def at(
    ctx: typer.Context,
    when: Annotated[str, typer.Argument(metavar="TIME", help="ISO 8601; UTC unless it has a time zone.")],
    channel: Annotated[str, typer.Option("--channel", help="Only this channel.")] = "",
) -> None:
    """Show which version each channel had at a time in the past, and the entries that prove it.

    An endpoint follows its channel within seconds, unless it refuses the version. `petpark who` shows what answered a
    recorded prediction.
    """
    run = invocation(ctx)
    asked = parse_moment(when)
    found = past.active_at(run.target(), asked, [channel] if channel else [])
    run.output.table(
        ("channel", "version", "since (UTC)", "until (UTC)", "by", "why", "certificate", "challenger", "proof"),
        [_row(each, asked) for each in found],
        facts={"at": asked.isoformat(), "channels": [facts(each) for each in found]},
        empty="No channel has entries.",
    )


def _row(found: ActiveThen, asked: datetime) -> tuple[Cell, ...]:
    entry, following = found.entry, found.following
    until = moment(following.at) if following else "–"
    if entry is None:
        return (found.channel, "none", "–", until, "–", "–", "–", "–", "–")
    proof = f"entry {entry.number}, {short(entry.sha256)}"
    if following is not None:
        proof += f", carried by entry {following.number}"
    return (
        found.channel,
        str(entry.version),
        moment(entry.at),
        until,
        person(entry.by),
        entry.why,
        certificate_cell(found, asked),
        f"{found.experiment.version} ({found.experiment.mode})" if found.experiment else "–",
        proof,
    )


def certificate_cell(found: ActiveThen, asked: datetime) -> Cell:
    """The decision that counted, for people."""
    certificate = found.certificate
    if certificate is None:
        return bad("none")
    sentence = f"{certificate.decision} by {person(certificate.by)} on {moment(certificate.at)}"
    if certificate.decision != "certified":
        return bad(sentence)
    if certificate.expires_at is not None and parse_time(certificate.expires_at) <= asked:
        return bad(f"{sentence}, expired {moment(certificate.expires_at)}")
    return good(sentence)


def facts(found: ActiveThen) -> dict[str, Any]:
    """For `--json`."""
    entry, following = found.entry, found.following
    return {
        "channel": found.channel,
        "entry": entry and {**asdict(entry), "sha256": entry.sha256},
        "following": following and {**asdict(following), "sha256": following.sha256},
        "certificate": found.certificate and asdict(found.certificate),
        "experiment": found.experiment and asdict(found.experiment),
    }


def register(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command(
        "at", epilog=example("petpark models at 2026-08-01T12:00", "petpark models at 2026-08-01 --channel prod")
    )(at)
