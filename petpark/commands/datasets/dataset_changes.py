"""`petpark data relabel`, `exclude` and `history`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from petpark.app import Invocation, example, invocation
from petpark.data import datasets
from petpark.output.formats import moment, plural, short
from registry.identity import person

if TYPE_CHECKING:
    from training.dataset.changes import Change

_Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="Dataset hash, or a unique prefix.")]
_Keys = Annotated[list[str], typer.Option("--key", help="Key of a photo. Repeatable.")]
_Why = Annotated[str, typer.Option("--why", help="Reason, recorded with your name.")]


def relabel(
    ctx: typer.Context,
    dataset: _Dataset,
    key: _Keys,
    why: _Why,
    label: Annotated[str, typer.Option("--label", help="The correct label.")],
) -> None:
    """Create a dataset in which photos have another label. Who did it and why is recorded."""
    run = invocation(ctx)
    with run.output.progress("Relabelling"):
        change = datasets.relabel(run.target(), dataset, keys=key, label=label, why=why)
    _show(run, change)


def exclude(ctx: typer.Context, dataset: _Dataset, key: _Keys, why: _Why) -> None:
    """Create a dataset without some photos. Who did it and why is recorded."""
    run = invocation(ctx)
    with run.output.progress("Excluding"):
        change = datasets.exclude(run.target(), dataset, keys=key, why=why)
    _show(run, change)


def history(ctx: typer.Context, dataset: _Dataset) -> None:
    """Show the changes that led to a dataset, newest first: who, what and why."""
    run = invocation(ctx)
    with run.output.progress("Reading"):
        changes = datasets.history(run.target(), dataset)
    run.output.table(
        ("dataset", "from", "when (UTC)", "who", "what", "why"),
        [
            (short(each.dataset), _from(each), moment(each.at), person(each.by), _what(each), each.why)
            for each in changes
        ],
        facts={"changes": [asdict(change) for change in changes]},
        empty="No changes since ingestion.",
    )


def _show(run: Invocation, change: Change) -> None:
    fields = {
        "dataset": change.dataset,
        "from": change.parent or "",
        "what": _what(change),
        "who": person(change.by),
        "why": change.why,
    }
    run.output.record(fields, facts=asdict(change))
    run.output.note(f"Next: petpark train --dataset {short(change.dataset)} --watch")


def _from(change: Change) -> str:
    return short(change.parent) if change.parent else "nothing"


def _what(change: Change) -> str:
    if not change.photos:
        return str(change.ruling)
    label = f" as {change.becomes}" if change.becomes else ""
    return f"{change.ruling} {plural(len(change.photos), 'photo')}{label}"


def register(app: typer.Typer) -> None:
    """Add the commands to their group."""
    reason = "--why 'a fox, seen by the keeper'"
    app.command("relabel", epilog=example(f"petpark data relabel 3fa9 --key cat/north/0042.jpg --label fox {reason}"))(
        relabel
    )
    app.command("exclude", epilog=example("petpark data exclude 3fa9 --key cat/0042.jpg --why 'a dirty lens'"))(exclude)
    app.command("history", epilog=example("petpark data history 3fa9"))(history)
