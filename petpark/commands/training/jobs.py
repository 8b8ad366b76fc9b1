"""`petpark jobs`."""

from dataclasses import asdict
from typing import Annotated

import typer

from petpark.app import example, group, invocation
from petpark.commands.formatting import measured
from petpark.commands.training import verdicts
from petpark.errors import unwatched
from petpark.jobs import cancellation, job_details, job_logs, job_summaries, submission
from petpark.jobs.job_details import JobDetails, OrderedJob
from petpark.jobs.job_summaries import JobSummary, Stage
from petpark.models import gates
from petpark.output.console import Section
from petpark.output.formats import bad, good, short
from petpark.output.table import Cell
from registry.identity import person
from registry.layout.roles import Role

app = group("Jobs: settings, progress, results.")

Job = Annotated[str, typer.Argument(metavar="JOB", help="Job id, or a unique prefix.")]


@app.command("list", epilog=example("petpark jobs list", "petpark jobs list --limit 5 --json"))
def list_jobs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", help="Maximum number to list, newest first.", min=1)] = 20,
) -> None:
    """List the newest jobs and their results."""
    run = invocation(ctx)
    found = job_summaries.summaries(run.target(), limit=limit)
    run.output.table(
        ("job", "asked by", "stage", "epochs", "checkpoints", "dataset", "instance", "result"),
        [_row(job) for job in found],
        facts={"jobs": [asdict(job) for job in found]},
        empty="No job yet. Start one: petpark train --dataset SHA",
    )
    if any(job.gates_failed for job in found):
        run.output.note("Failed gates and suggestions: petpark jobs show JOB")


@app.command("show", epilog=example("petpark jobs show 20260802-101500-3fa9"))
def show(ctx: typer.Context, job: Job) -> None:
    """Show one job: settings, gates, which gates its version failed and by how much, and suggestions."""
    run = invocation(ctx)
    target = run.target()
    name = submission.resolve(target, job)
    if (ordered := job_details.ordered(target, name)) is not None:
        run.output.sections(_ordered(ordered), facts={**asdict(ordered.summary), **asdict(ordered)})
        return
    found = job_details.inspect(target, name)
    facts = {
        **asdict(found.summary),
        "spec": asdict(found.spec),
        "result": found.result and asdict(found.result),
        "boot_log": found.boot_log and asdict(found.boot_log),
        "progress": found.progress,
        "attempts": list(found.attempts),
        **verdicts.facts(found),
    }
    run.output.sections(_sections(found), facts=facts)


@app.command("cancel", epilog=example('petpark jobs cancel 20260802-101500-3fa9 --why "wrong dataset"'))
def cancel(
    ctx: typer.Context,
    job: Job,
    why: Annotated[str, typer.Option("--why", help="Reason, recorded with your name.")],
) -> None:
    """Cancel a job for good and terminate its instances. Its records are kept; it cannot be resumed."""
    run = invocation(ctx)
    target = run.target()
    ended = cancellation.cancel(target, submission.resolve(target, job), why=why)
    fields: dict[str, Cell] = {
        "job": ended.job,
        "cancelled by": person(ended.by),
        "why": ended.why,
        "instances terminated": ", ".join(ended.instances) or "none was running",
    }
    if ended.executions:
        fields["executions stopped"] = ", ".join(ended.executions)
    run.output.record(fields, facts=asdict(ended))


@app.command("logs", epilog=example("petpark jobs logs 20260802-101500-3fa9", "petpark jobs logs 20260802 --follow"))
def logs(
    ctx: typer.Context,
    job: Job,
    follow: Annotated[bool, typer.Option("--follow", help="Wait until the job has ended.")] = False,
) -> None:
    """Print a job's log, and the boot logs of instances that failed."""
    run = invocation(ctx)
    target = run.target()
    name = submission.resolve(target, job)
    cancellation.require_job(target.store(target.outputs.workspace, role=Role.PUBLISHER), name)
    said: list[job_logs.LogLine] = []
    with unwatched(f"Job {name} is unaffected.", f"Stop it: petpark jobs cancel {name} --why ..."):
        for line in job_logs.read(target, name, follow=follow):
            said.append(line)
            run.output.message(str(line))
    booted = job_logs.boot_logs(target, name)
    for log in booted:
        run.output.message(f"{log.instance}, from its boot on (workspace, {log.key}):")
        for line in log.lines:
            run.output.message(f"  {line}")
    if not said and not booted:
        raise job_logs.missing(target, name)
    if run.output.json:
        facts = {"job": name, "log": [asdict(line) for line in said], "boot_logs": [asdict(log) for log in booted]}
        run.output.document(facts)


def _sections(found: JobDetails) -> dict[str, Section]:
    summary, spec, result = found.summary, found.spec, found.result
    head: dict[str, Cell] = {
        "stage": _stage(summary.stage),
        "asked by": person(summary.requested_by),
        "dataset": short(summary.dataset),
        "seed": str(spec.seed),
        "epochs": "none: a linear layer" if spec.hyper_parameters.frozen else f"{summary.epochs} of {found.epochs}",
        "progress": found.progress,
        "instance" if spec.instances == 1 else f"first of {spec.instances} instances": summary.instance_id or "–",
        "result": _result(summary),
        "message": (result and result.message) or "",
        "console": _console(found),
        "gates": verdicts.outcome(found.judgement),
    }
    return {
        f"Job {summary.job}": {name: value for name, value in head.items() if value},
        "Parameters, where not the defaults": {name: str(value) for name, value in found.parameters.items()},
        "Attempts": {str(number): each for number, each in enumerate(found.attempts, start=1)},
        "Gates": gates.described(spec.evaluation.gates),
        "Checks": {name: str(value) for name, value in asdict(spec.evaluation.checks).items() if value != ""},
        "Metrics": measured(result.metrics) if result else {},
        **verdicts.failures(found),
        **_final_lines(found),
    }


def _ordered(found: OrderedJob) -> dict[str, Section]:
    """A job that is not a training, or that has not begun to be one."""
    result = found.result
    head: dict[str, Cell] = {
        "purpose": found.summary.purpose,
        "stage": _stage(found.summary.stage),
        "asked by": person(found.summary.requested_by),
        "pipeline": found.pipeline or "",
        "outcome": (result and result.outcome) or "",
        "error": (result and result.error) or "",
        "message": (result and result.message) or "",
        "report": (result and result.report) or "",
    }
    return {
        f"Job {found.summary.job}": {name: value for name, value in head.items() if value},
        "Inputs": {name: str(value) for name, value in found.inputs.items()},
        "Attempts": {str(number): each for number, each in enumerate(found.attempts, start=1)},
        "Metrics": measured(result.metrics) if result else {},
    }


def _console(found: JobDetails) -> str:
    """Where to look for the output of an instance that stored no log. EC2 keeps it for at least an hour.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-console.html
    """
    if found.summary.stage is not Stage.INTERRUPTED or found.boot_log is not None:
        return ""
    return f"for an hour or so: aws ec2 get-console-output --instance-id {found.summary.instance_id}"


def _final_lines(found: JobDetails) -> dict[str, Section]:
    if found.boot_log is None:
        return {}
    lines = {str(number): line for number, line in enumerate(found.boot_log.last, start=1)}
    return {
        f"End of the boot log of {found.boot_log.instance}; whole log in the workspace at {found.boot_log.key}": lines
    }


def _row(job: JobSummary) -> tuple[Cell, ...]:
    progress = (str(job.epochs), str(job.checkpoints))
    last = (short(job.dataset) or "–", job.instance_id or "–", _result(job))
    return (job.job, person(job.requested_by), _stage(job.stage), *progress, *last)


def _stage(stage: Stage) -> Cell:
    if stage is Stage.SUCCEEDED:
        return good(stage)
    return bad(stage) if stage in {Stage.FAILED, Stage.INTERRUPTED, Stage.UNREADABLE} else stage


def _result(job: JobSummary) -> Cell:
    if job.purpose not in {"train", "trial"}:
        return f"{job.purpose}: {job.outcome or job.error or 'not ended'}"
    if job.version is None:
        return job.error or ("trial" if job.study else "")
    if job.gates_failed:
        return bad(f"version {job.version}, did not pass {', '.join(job.gates_failed)}")
    return f"version {job.version}"
