"""The `petpark` program: a list of its commands."""

import atexit
import gc
import os
from typing import Annotated

import typer

from petpark.app import Commands, TargetKind, begin, example
from petpark.lazy_commands import Listed
from petpark.loopback import direct
from petpark.output.streams import written_out


class Program(Commands):
    """All commands."""

    table = {  # noqa: RUF012  stated by LazyGroup as of the class
        "doctor": Listed(
            "petpark.commands.operations.doctor",
            "Report what is missing on this machine (or in this account), and how to fix it.",
        ),
        "preview": Listed(
            "petpark.commands.operations.preview",
            "Show what `pulumi up` would change in the stack, and its cost, as a Markdown page.",
        ),
        "state": Listed(
            "petpark.commands.operations.state",
            "The state of a stack: a record for previews without credentials, and what was changed by hand.",
        ),
        "deploy": Listed(
            "petpark.commands.operations.deploy",
            "Run `pulumi up` if the plan is still the reviewed one, and check the endpoint afterwards.",
        ),
        "teardown": Listed(
            "petpark.commands.operations.teardown",
            "Destroy the stack if its last day (the tag `petpark:expires`) has passed, and check that nothing is left.",
        ),
        "costs": Listed(
            "petpark.commands.operations.costs",
            "Estimate the monthly cost of the stack with its current settings, at AWS list prices.",
        ),
        "prices": Listed("petpark.commands.operations.prices", "The dated table of AWS list prices that `costs` uses."),
        "train": Listed(
            "petpark.commands.training.train",
            "Train on one or more instances of the stack: a new job (--dataset), or an interrupted one (--resume).",
        ),
        "test": Listed(
            "petpark.commands.registry.acceptance",
            "Test a version or an endpoint on your own photos, with intervals, and compare with its report.",
        ),
        "certify": Listed(
            "petpark.commands.registry.decisions",
            "Sign a decision about a version's exact bytes, as the stack's certifier.",
        ),
        "promote": Listed(
            "petpark.commands.registry.decisions", "Set a channel's version; its endpoints follow within seconds."
        ),
        "rollback": Listed(
            "petpark.commands.registry.decisions",
            "Set a channel back to the previous version, or to an older one, and show why that version was replaced.",
        ),
        "data": Listed("petpark.commands.datasets.data", "Datasets in the data lake."),
        "jobs": Listed("petpark.commands.training.jobs", "Jobs: settings, progress, results."),
        "runs": Listed(
            "petpark.commands.training.runs",
            "Compare training runs: settings, learning curves, results.",
        ),
        "search": Listed(
            "petpark.commands.training.search",
            "Hyperparameter search: each trial is a job, within a budget of hours and money.",
        ),
        "pipeline": Listed(
            "petpark.commands.operations.pipeline", "The pipeline: from a dataset to prod, on AWS Step Functions."
        ),
        "models": Listed("petpark.commands.registry.models", "The registry: versions, channels, certificates."),
        "who": Listed(
            "petpark.commands.registry.who",
            "Show the version, certificate, dataset, code and people behind a recorded prediction.",
        ),
        "drift": Listed(
            "petpark.commands.serving.drift",
            "Compare recorded predictions with the validation photos of the version, per camera and hour.",
        ),
        "labels": Listed(
            "petpark.commands.serving.labels",
            "True accuracy from recorded photos that people label, and these photos as candidates for ingestion.",
        ),
        "report": Listed(
            "petpark.commands.operations.report",
            "Pages about what a stack's endpoint did: a monthly report, and a monitoring page.",
        ),
        "endpoints": Listed("petpark.commands.serving.endpoints", "State of the running endpoints."),
        "camera": Listed("petpark.commands.serving.camera", "The camera agent."),
        "keys": Listed("petpark.commands.serving.api_keys", "API keys of endpoints."),
        "people": Listed(
            "petpark.commands.operations.people",
            "AWS permissions for the people who operate petpark.",
        ),
        "experiment": Listed(
            "petpark.commands.serving.experiment", "Experiments with a challenger version: shadow, canary, A/B."
        ),
        "rehearse": Listed(
            "petpark.commands.operations.rehearse", "Rehearse the whole lifecycle on this machine, offline."
        ),
    }


app = typer.Typer(cls=Program, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.callback(epilog=example("petpark --target rehearsal endpoints status", "petpark models list --json"))
def petpark(
    ctx: typer.Context,
    target: Annotated[
        TargetKind,
        typer.Option("--target", envvar="PETPARK_TARGET", help="What to act on: an AWS account, or a rehearsal."),
    ] = TargetKind.AWS,
    stack: Annotated[
        str, typer.Option("--stack", envvar="PETPARK_STACK", help="Stack to act on: test or prod.")
    ] = "test",
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Operate an image classifier as code: photos, training, registry, release. Global options may stand anywhere."""
    begin(ctx, kind=target, stack=stack, json=json)


def main() -> None:
    """Entry point of the installed program."""
    os.environ.update(direct(os.environ))  # before any client reads it
    # At exit, Python runs garbage collection once more: seconds if torch or a provider's schema was loaded.
    atexit.register(gc.freeze)
    with written_out():
        app(prog_name="petpark")


if __name__ == "__main__":
    main()
