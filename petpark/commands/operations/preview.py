"""`petpark preview`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from petpark.app import example, invocation
from petpark.commands.operations.doctor import checkout
from petpark.errors import SettingsWrong


def preview(
    ctx: typer.Context,
    pulumi_json: Annotated[
        Path | None,
        typer.Option("--pulumi-json", metavar="FILE", help="Read the output of `pulumi preview --json` from a file."),
    ] = None,
    recorded: Annotated[
        Path | None,
        typer.Option(
            "--recorded",
            metavar="FILE",
            help="Compare the program with a record that `petpark state export` wrote; needs no account and no Pulumi CLI.",
        ),
    ] = None,
    plan_file: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Read a plan that --save wrote instead of making one."),
    ] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", metavar="FILE", help="Add another stack's saved plan to the page. Repeatable."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="COMMIT", help="Compare costs with the settings of this commit, such as origin/main."
        ),
    ] = None,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Save the plan as JSON.")] = None,
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="DIGEST", help="Fail unless the plan has this digest."),
    ] = None,
    complete: Annotated[
        bool,
        typer.Option("--complete", help="Show the complete page; by default it is shortened to fit a GitHub comment."),
    ] = False,
    page_file: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Write the page to a file instead of printing it.")
    ] = None,
    post: Annotated[
        bool,
        typer.Option("--post", help="Also post the page as a comment on the pull request; only in a GitHub workflow."),
    ] = False,
) -> None:
    """Show what `pulumi up` would change in the stack, and its cost, as a Markdown page."""
    from infra.configuration import prices
    from petpark.preview import cost, make, rules
    from petpark.preview.github import GitHub
    from petpark.preview.page import Source, comment, page
    from petpark.preview.plan import is_stack

    run = invocation(ctx)
    if sum(each is not None for each in (plan_file, pulumi_json, recorded)) > 1:
        raise typer.BadParameter(
            "--plan, --pulumi-json and --recorded each name a plan; give one of them", param_hint="--plan"
        )
    if not is_stack(run.stack):
        raise typer.BadParameter(f"{run.stack[:100]!r} is no name of a stack", param_hint="--stack")
    try:
        expected = None if expect is None else make.digest_of(expect)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expect") from None
    for path in (save, page_file):
        if path is not None:
            make.require_writable(path)
    root = checkout()
    try:
        table = prices.load()
    except prices.TableUnusable as error:
        raise SettingsWrong(f"{error}.", next_step="Restore it from version control.") from None
    if plan_file is not None:
        plan = make.load(plan_file)
    elif pulumi_json is not None:
        plan = make.plan_from_file(run.stack, pulumi_json, root, table)
    elif recorded is not None:
        with run.output.progress(f"Previewing stack {run.stack} from its record"):
            plan = make.plan_from_record(run.stack, recorded, root, table)
    else:
        with run.output.progress(f"Previewing stack {run.stack}"):
            plan = make.plan_by_pulumi(run.stack, root, table)
    if save is not None:
        make.save(plan, save)
    plans = [plan, *(make.load(path) for path in others or [])]
    if len({each.stack for each in plans}) < len(plans):
        named = ", ".join(each.stack for each in plans)
        raise typer.BadParameter(f"a page has one plan of a stack, not of {named}", param_hint="--with")
    states = tuple((each.stack, each.state) for each in plans if each.state)
    source = Source(commit=make.commit(root), states=states)
    today = datetime.now(UTC).date()
    sections = [rules.section(each) for each in plans]
    sections += [cost.section(root, each.stack, table, base=base, today=today) for each in plans]
    fitting = comment(plans, source, sections=sections)
    shown = page(plans, source, sections=sections) if complete else fitting
    facts: dict[str, object] = {"page": shown, "digests": {each.stack: each.digest for each in plans}}
    if page_file is not None:  # before the comment, which can fail
        make.write(shown, page_file)
        run.output.note(f"Page written to {page_file}.")
    if post:
        with GitHub.from_environment(os.environ) as github:
            number = github.pull_request(Path(os.environ["GITHUB_EVENT_PATH"]))
            facts["comment"] = github.comment(number, fitting)
    if expected is not None and run.output.json:
        make.require_same(plan, expected, **facts)  # --json prints one document
    if run.output.json or page_file is None:
        run.output.show(Text(shown.rstrip()), facts=facts, apart=False)
    if expected is not None:
        make.require_same(plan, expected)


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
