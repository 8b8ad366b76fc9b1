"""`petpark preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from petpark.app import example, invocation
from petpark.commands.operations.doctor import checkout
from petpark.errors import PreviewUnreadable


def preview(
    ctx: typer.Context,
    pulumi_json: Annotated[
        Path | None,
        typer.Option("--pulumi-json", metavar="FILE", help="Read the output of `pulumi preview --json` from a file."),
    ] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", metavar="FILE", help="Another stack's saved plan, for the same page. May be repeated."),
    ] = None,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Save the plan as JSON.")] = None,
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="DIGEST", help="Fail unless this is the plan with that digest."),
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="The complete page, however long; otherwise it fits a GitHub comment.")
    ] = False,
) -> None:
    """Show what `pulumi up` would do to the stack of --stack, as a page in Markdown."""
    from petpark.preview import make
    from petpark.preview.page import Source, comment, page
    from petpark.preview.pulumi_json import read_plan

    run = invocation(ctx)
    root = checkout()
    states: list[tuple[str, str]] = []
    if pulumi_json is None:
        with run.output.progress(f"Previewing stack {run.stack}"):
            plan = make.plan_by_pulumi(run.stack, root)
            states.append((run.stack, make.state_version(run.stack, root)))
    else:
        try:
            text = pulumi_json.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PreviewUnreadable(f"{pulumi_json} cannot be read: {error}.", next_step="Name a file.") from None
        plan = read_plan(text, stack=run.stack, source="pulumi preview --json")
    if save is not None:
        make.save(plan, save)
    plans = [plan, *(make.load(path) for path in others or [])]
    source = Source(commit=make.commit(root), states=tuple(states))
    shown = page(plans, source) if complete else comment(plans, source)
    facts = {"page": shown, "digests": {each.stack: each.digest for each in plans}}
    run.output.show(Text(shown.rstrip()), facts=facts, apart=False)
    if expect is not None:
        make.require_same(plan, expect)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "preview",
        epilog=example(
            "petpark preview --stack test",
            "petpark preview --stack prod --pulumi-json prod.json --with test-plan.json",
            "petpark preview --stack test --expect 9f2c…  # before pulumi up",
        ),
    )(preview)
