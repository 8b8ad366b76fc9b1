"""`petpark deploy`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from petpark.app import Invocation, example, invocation
from petpark.commands.operations.doctor import checkout
from petpark.commands.operations.preview import require_stack
from petpark.errors import SettingsWrong

if TYPE_CHECKING:
    from collections.abc import Sequence

    from petpark.delivery.read_back import Seen
    from petpark.preview.binding import Reviewed


def deploy(
    ctx: typer.Context,
    expect: Annotated[
        str,
        typer.Option(
            "--expect",
            metavar="REVIEWED",
            envvar="PETPARK_EXPECT",
            help="What was reviewed: PLAN:PROGRAM:STATE of its page, or the file that `petpark preview --save` wrote.",
        ),
    ] = "",
    reviewed: Annotated[
        bool,
        typer.Option(
            "--reviewed", help="Expect what the page of the merged pull request is bound to; only in a GitHub workflow."
        ),
    ] = False,
) -> None:
    """Run `pulumi up` if the plan is still the reviewed one, and check the endpoint afterwards.

    Makes the plan again and refuses it if plan, program or state has changed since the review. Then waits up to 30
    minutes for the endpoint to run what was deployed. Exits with 1 if something has changed, or if the endpoint is not
    as declared in the end.
    """
    from infra.configuration import prices
    from petpark.delivery import deploy as applying
    from petpark.delivery.read_back import read_back

    run = invocation(ctx)
    require_stack(run.stack)
    root = checkout()
    expected = _expected(run, expect, from_pull_request=reviewed)
    try:
        table = prices.load()
    except prices.TableUnusable as error:
        raise SettingsWrong(f"{error}.", next_step="Restore it from version control.") from None
    with run.output.progress(f"Deploying stack {run.stack}"):
        done = applying.apply(run.stack, root, table, reviewed=expected)
    run.output.note(f"Stack {run.stack} was updated; {len(done)} resources changed. Waiting until it answers.")
    with run.output.progress("Waiting until what was deployed answers"):
        seen = read_back(run.target())
    _show(run, seen, changes=[f"{each.op} {each.urn}" for each in done])


def _expected(run: Invocation, expect: str, *, from_pull_request: bool) -> Reviewed:
    """What was reviewed. What was typed in counts before the pull request."""
    from petpark.delivery.repository import Repository
    from petpark.preview.binding import Reviewed

    if not expect and not from_pull_request:
        raise typer.BadParameter(
            "missing: the reviewed plan. In a GitHub workflow, use --reviewed instead.", param_hint="--expect"
        )
    if not expect:
        with Repository.from_environment(os.environ) as repository:
            expect = repository.reviewed(os.environ.get("GITHUB_SHA", ""), run.stack)
    try:
        return Reviewed.read(expect)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expect") from None


def _show(run: Invocation, seen: Sequence[Seen], **facts: object) -> None:
    rows = [(each.what, each.found) for each in seen]
    facts |= {"stack": run.stack, "answers": [{"what": each.what, "found": each.found} for each in seen]}
    run.output.table(("what", "found"), rows, facts=facts, empty="")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "deploy",
        epilog=example(
            "petpark deploy --stack test --expect 9f2c…:77ab…:12", "petpark deploy --stack prod --expect plan.json"
        ),
    )(deploy)
