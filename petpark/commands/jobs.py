"""`petpark jobs`."""

from dataclasses import asdict
from typing import Annotated

import typer

from petpark import jobs
from petpark.app import example, group, invocation
from petpark.jobs import JobSummary, Stage
from petpark.output import Cell, bad, good, short
from registry.identity import person

app = group("Training jobs: what was asked, how far it is, what came of it.")


@app.command("list", epilog=example("petpark jobs list", "petpark jobs list --limit 5 --json"))
def list_jobs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", help="How many, newest first.", min=1)] = 20,
) -> None:
    """Show the newest jobs and what came of them."""
    run = invocation(ctx)
    found = jobs.summaries(run.target(), limit=limit)
    run.output.table(
        ("job", "asked by", "stage", "epochs", "checkpoints", "dataset", "instance", "result"),
        [_row(job) for job in found],
        facts={"jobs": [asdict(job) for job in found]},
        empty="No job yet: petpark train --dataset SHA",
    )


def _row(job: JobSummary) -> tuple[Cell, ...]:
    stage: Cell = job.stage
    if job.stage is Stage.SUCCEEDED:
        stage = good(job.stage)
    elif job.stage in {Stage.FAILED, Stage.INTERRUPTED}:
        stage = bad(job.stage)
    trial = "trial" if job.study else ""
    result = f"version {job.version}" if job.version is not None else (job.error or trial)
    progress = (str(job.epochs), str(job.checkpoints))
    return (job.job, person(job.requested_by), stage, *progress, short(job.dataset), job.instance_id or "–", result)
