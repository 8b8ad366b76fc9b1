"""`petpark state`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from petpark.app import example, group, invocation
from petpark.commands.operations.doctor import checkout
from petpark.commands.operations.drift import drift
from petpark.commands.operations.preview import require_stack
from petpark.failures.failure import describe
from petpark.output.console import Output
from petpark.targets.target import Target

app = group("The state of a stack: a record for previews without credentials, and what was changed by hand.")
app.command(epilog=example("petpark state drift --stack prod", "petpark state drift --stack test --json"))(drift)


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
    from petpark.preview import saved
    from petpark.preview.recorded import data_sources
    from petpark.preview.recorded import export as exporting

    run = invocation(ctx)
    require_stack(run.stack)
    saved.require_writable(out)
    root = checkout()
    state, version = exporting.from_file(exported) if exported else exporting.from_cli(run.stack, root)
    target = run.target()

    def ask(token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return data_sources.answer(target.client, token, arguments)

    with run.output.progress(f"Recording stack {run.stack}"):
        models = _models(run.output, target)
        record, changed = exporting.record(run.stack, root, state, version, ask=ask, models=models)
    saved.write(record.to_text(), out)
    if changed:
        run.output.note(
            f"{changed} resources are declared differently from what is deployed; `petpark preview` shows it."
        )
    facts = {"file": str(out), "state": record.state, "commit": record.commit}
    facts |= {"resources": len(record.resources), "changed": changed}
    sentence = f"Recorded {len(record.resources)} resources of stack {run.stack}, state {record.state}: {out}"
    run.output.show(Text(sentence), facts=facts, apart=False)


def _models(output: Output, target: Target) -> Mapping[str, Any] | None:
    """What the registry holds; a record without it is still of use."""
    from petpark.preview.models import registry_facts

    try:
        return registry_facts.read(target)
    except Exception as error:
        failure = describe(error)
        if failure is None:
            raise
        output.note(f"The record has no registry data, because the registry could not be read: {failure.message}")
        return None
