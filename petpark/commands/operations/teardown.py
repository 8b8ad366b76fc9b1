"""`petpark teardown`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from petpark.app import example, invocation
from petpark.commands.operations.doctor import checkout
from petpark.commands.operations.preview import require_stack
from petpark.errors import PulumiFailed, SettingsWrong


def teardown(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say whether the last day has passed.")] = False,
) -> None:
    """Destroy the stack if its last day (the tag `petpark:expires`) has passed, and check that nothing is left.

    The latest day in tags and settings counts; a stack without tags, or with a value that is not a date, stays. Exits
    with 1 if something is left.
    """
    import boto3

    from petpark.account.cloud import Account, Unchecked
    from petpark.delivery import teardown as tearing

    run = invocation(ctx)
    require_stack(run.stack)
    root = checkout()
    settings, region = _reviewed(root, run.stack)
    account = Account(boto3.Session(), region)
    try:
        term = tearing.term_of(account, run.stack, settings)
    except Unchecked as error:
        raise PulumiFailed(
            f"The tags of stack {run.stack} cannot be read: {error.reason}", next_step="Sign in, with tag:GetResources."
        ) from None
    over = term.over(datetime.now(UTC).date())
    facts: dict[str, object] = {"stack": run.stack, "term": term.found, "over": over, "destroyed": []}
    if not over or dry_run:
        run.output.table(("stack", "term"), [(run.stack, term.found)], facts=facts, empty="")
        return
    with run.output.progress(f"Destroying stack {run.stack}"):
        done = tearing.destroy(account, run.stack, root)
    facts["destroyed"] = [each.urn for each in done]
    rows = [(run.stack, f"{term.found}; {len(done)} resources deleted, nothing is left")]
    run.output.table(("stack", "term"), rows, facts=facts, empty="")


def _reviewed(root: Path, stack: str) -> tuple[str | None, str]:
    """The last day by the stack's settings, None without settings here, and its region."""
    from infra.configuration.settings_reader import EXPIRES, NONE
    from infra.configuration.stack_file import SettingsUnusable, default_tags, read_stack

    try:
        if not (root / f"Pulumi.{stack}.yaml").exists():
            return None, read_stack(root, "test").region
        return default_tags(root, stack).get(EXPIRES, NONE), read_stack(root, stack).region
    except SettingsUnusable as error:
        raise SettingsWrong(f"{error}.", next_step=f"Edit Pulumi.{stack}.yaml.") from None


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("teardown", epilog=example("petpark teardown --stack ana --dry-run", "petpark teardown --stack ana"))(
        teardown
    )
