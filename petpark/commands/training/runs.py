"""`petpark runs`."""

from pathlib import Path
from typing import Annotated

import typer

from petpark.app import example, group, invocation
from petpark.jobs import runs
from petpark.jobs.submission import resolve

app = group("Compare training runs: settings, learning curves, results.")


@app.command("compare", epilog=example("petpark runs compare 20260802-101500-3fa9 20260803-090000-77aa"))
def compare(
    ctx: typer.Context,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...", help="Job ids, or unique prefixes.")],
    page: Annotated[Path, typer.Option("--page", metavar="FILE", help="Output path of the HTML page.")] = Path(
        "runs.html"
    ),
) -> None:
    """Compare jobs' settings, and write their learning curves side by side as an HTML page."""
    run = invocation(ctx)
    target = run.target()
    names = dict.fromkeys(resolve(target, job) for job in jobs)
    found = [runs.load(target, name) for name in names]
    runs.write_page(found, page)
    different = runs.differences(found)
    run.output.table(
        ("", *(one.job for one in found)),
        [(name, *values) for name, values in different.items()],
        facts={"runs": [one.facts() for one in found], "differences": different, "page": str(page)},
        empty="These jobs have the same settings.",
    )
    for one in found:
        for key, problem in one.problems.items():
            run.output.message(f"Skipped {key} in the workspace: {problem}")
    run.output.note(f"Learning curves: {page}")
