"""`petpark models history`."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from petpark.app import Invocation, example, invocation
from petpark.commands.formatting import show_proofs
from petpark.errors import NOT_SO
from petpark.models import history as histories
from petpark.output.formats import moment
from petpark.output.table import Cell
from registry.identity import person

if TYPE_CHECKING:
    from registry.channels.channel import ChannelEntry

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


def history(
    ctx: typer.Context,
    channel: Annotated[str, typer.Option("--channel", help="The channel.")] = "prod",
    last: Annotated[int, typer.Option("--last", help="Number of entries, newest last.", min=1)] = 20,
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify that nothing was rewritten; exits with 1 if something was.")
    ] = False,
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="HASH", help="With --verify: SHA-256 of an entry noted earlier, which must still exist."
        ),
    ] = "",
) -> None:
    """Show a channel's entries (version, time, person, reason), or prove that entries were only ever added.

    The proof compares every entry with the hash in the next one, the bucket's version history, and the version that it
    names. It prints the hash of the last entry: keep it outside the registry. Passed to a later proof as --since, it
    shows whether the newest entries were removed.
    """
    run = invocation(ctx)
    if verify or since:
        _prove(run, channel, _hash(since) if since else None)
        return
    found = histories.history(run.target(), channel, last=last)
    run.output.table(
        ("move", "version", "before", "at (UTC)", "by", "why"),
        [_row(move) for move in found.moves],
        facts={
            "channel": channel,
            "total": found.total,
            "moves": [{**asdict(move), "sha256": move.sha256} for move in found.moves],
        },
        empty=f"Channel {channel} has no entries.",
    )
    if found.total > len(found.moves):
        run.output.note(f"The last {len(found.moves)} of {found.total} entries; --last N shows more.")


def _prove(run: Invocation, channel: str, since: str | None) -> None:
    target = run.target()
    with run.output.progress(f"Verifying the history of {channel}"):
        found = histories.prove_history(target, channel, since=since)
    head = found.head
    facts = {
        "channel": channel,
        "sound": found.sound,
        "moves": found.moves,
        "head": None if head is None else {"move": head.number, "version": head.version, "sha256": head.sha256},
        "findings": [proof.to_dict() for proof in found.proofs],
    }
    show_proofs(run.output, found.proofs, facts=facts)
    if not found.sound:
        raise typer.Exit(NOT_SO)
    if head is not None and not run.output.json:
        run.output.out.print(f"\nhead  move {head.number}, {head.sha256}", soft_wrap=True)
        run.output.note("Keep that hash elsewhere, and pass it to a later proof as --since.")


def _hash(text: str) -> str:
    match = _SHA256.fullmatch(text.lower())
    if match is None:
        raise typer.BadParameter(f"--since takes the SHA-256 of an entry, all 64 digits of it, not {text!r}")
    return match[1]


def _row(move: ChannelEntry) -> tuple[Cell, ...]:
    version = str(move.version) if move.restores is None else f"{move.version} (back to move {move.restores})"
    return (str(move.number), version, str(move.previous or "none"), moment(move.at), person(move.by), move.why)


def register(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command(
        "history",
        epilog=example("petpark models history --channel prod", "petpark models history --verify"),
    )(history)
