"""`petpark state drift`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from petpark.app import invocation
from petpark.commands.operations.doctor import checkout
from petpark.commands.operations.preview import require_stack
from petpark.errors import NOT_SO


def drift(
    ctx: typer.Context,
    issue: Annotated[
        bool,
        typer.Option(
            "--issue",
            help="Open or update the stack's issue in the repository if something differs, else close it; only in a "
            "GitHub workflow.",
        ),
    ] = False,
) -> None:
    """Show what was changed in the stack by hand since `pulumi up`; changes nothing.

    Exits with 1 if something differs; with --issue, reports it in the repository instead.
    """
    from petpark.delivery import drift as drifting
    from petpark.delivery.repository import Repository, mark

    run = invocation(ctx)
    require_stack(run.stack)
    with run.output.progress(f"Reading stack {run.stack}"):
        found = drifting.examine(run.stack, checkout())
    facts: dict[str, object] = {
        "stack": run.stack,
        "resources": [
            {"op": each.op, "urn": each.urn, "properties": [change.path for change in each.properties]}
            for each in found.resources
        ],
    }
    if issue:
        with Repository.from_environment(os.environ) as repository:
            text = drifting.body(found, mark(run.stack)) if found.resources else None
            facts["issue"] = repository.report_drift(run.stack, text)
    rows = [
        (each.name, each.type, each.op, ", ".join(change.path for change in each.properties))
        for each in found.resources
    ]
    columns = ("resource", "type", "what", "properties")
    run.output.table(columns, rows, facts=facts, empty=f"Stack {run.stack} is as it was deployed.")
    if found.resources and not issue:
        raise typer.Exit(NOT_SO)
