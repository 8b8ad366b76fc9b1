"""`petpark state`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from petpark.app import example, group, invocation
from petpark.commands.operations.doctor import checkout

app = group("The recorded state of a stack, from which `petpark preview --recorded` makes a plan.")


@app.command(
    epilog=example(
        "petpark state export --stack prod --out record-prod.json",
        "petpark state export --stack test --from exported.json --out record-test.json",
    )
)
def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the record.")],
    exported: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Read the output of `pulumi stack export`, or a state file of the embedded engine, instead of asking "
            "the Pulumi CLI.",
        ),
    ] = None,
) -> None:
    """Write the stack's state, without its secrets, and what the program needs to know of the account.

    Run it in the deploy job, after `pulumi up`, in the checkout that was deployed. The record has the account's number,
    ARNs and policies, but no secret.
    """
    from petpark.preview import make
    from petpark.preview.recorded import data_sources
    from petpark.preview.recorded import export as exporting

    run = invocation(ctx)
    make.require_writable(out)
    root = checkout()
    state, version = exporting.from_file(exported) if exported else exporting.from_cli(run.stack, root)
    target = run.target()

    def ask(token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return data_sources.answer(target.client, token, arguments)

    with run.output.progress(f"Recording stack {run.stack}"):
        record, changed = exporting.record(run.stack, root, state, version, ask=ask)
    make.write(record.to_text(), out)
    if changed:
        run.output.note(
            f"{changed} resources are declared otherwise than they are deployed; `petpark preview` shows it."
        )
    facts = {
        "file": str(out),
        "state": record.state,
        "commit": record.commit,
        "resources": len(record.resources),
        "changed": changed,
    }
    said = f"Recorded {len(record.resources)} resources of stack {run.stack}, state {record.state}: {out}"
    run.output.show(Text(said), facts=facts, apart=False)
