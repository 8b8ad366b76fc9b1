"""The `petpark` program: a table of contents of its commands."""

import atexit
import gc
import os
from typing import Annotated

import typer

from petpark.app import Commands, TargetKind, begin, example
from petpark.lazy_commands import Listed
from petpark.loopback import direct


class Program(Commands):
    """All commands."""

    table = {  # noqa: RUF012  stated by LazyGroup as of the class
        "doctor": Listed(
            "petpark.commands.operations.doctor",
            "Say what is missing on this machine (or in this account), and how to fix it.",
        ),
        "preview": Listed(
            "petpark.commands.operations.preview", "What a change would do to a stack, as one page for its review."
        ),
        "costs": Listed(
            "petpark.commands.operations.costs",
            "Say what the stack of --stack costs per month with its current settings, at AWS's list prices.",
        ),
        "prices": Listed(
            "petpark.commands.operations.prices", "The dated table of AWS's list prices, from which costs are computed."
        ),
        "train": Listed(
            "petpark.commands.training.train",
            "Train on an instance of the stack, or several, from a dataset (--dataset) or an interrupted job "
            "(--resume).",
        ),
        "test": Listed(
            "petpark.commands.registry.acceptance",
            "Test a version, or an endpoint, on photos of yours, with intervals, and beside what its report claims.",
        ),
        "certify": Listed(
            "petpark.commands.registry.decisions",
            "Sign a decision about exactly these bytes, as the stack's certifier.",
        ),
        "promote": Listed(
            "petpark.commands.registry.decisions", "Move a channel to a version; its endpoints follow within seconds."
        ),
        "rollback": Listed(
            "petpark.commands.registry.decisions",
            "Move a channel back to the version before, or to an older one, and say why that one had left.",
        ),
        "data": Listed("petpark.commands.datasets.data", "Dataset versions in the data lake."),
        "jobs": Listed(
            "petpark.commands.training.jobs", "Training jobs: what was asked, how far it is, what came of it."
        ),
        "runs": Listed(
            "petpark.commands.training.runs",
            "Training runs beside each other: what was asked, how it went, what differs.",
        ),
        "search": Listed(
            "petpark.commands.training.search",
            "Which settings train best: each trial a job, within a budget of hours and money.",
        ),
        "models": Listed("petpark.commands.registry.models", "The registry: versions, channels, certificates."),
        "endpoints": Listed("petpark.commands.serving.endpoints", "What answers in the park."),
        "camera": Listed("petpark.commands.serving.camera", "The agent beside a camera."),
        "keys": Listed("petpark.commands.serving.api_keys", "Who may call an endpoint: its API keys."),
        "people": Listed(
            "petpark.commands.operations.people",
            "People who operate petpark, and the permissions that they need in AWS.",
        ),
        "experiment": Listed(
            "petpark.commands.serving.experiment", "A challenger beside the version in force: shadow, canary, A/B."
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
        TargetKind, typer.Option("--target", envvar="PETPARK_TARGET", help="An AWS account, or a rehearsal.")
    ] = TargetKind.AWS,
    stack: Annotated[
        str, typer.Option("--stack", envvar="PETPARK_STACK", help="The stack to act on: test or prod.")
    ] = "test",
    json: Annotated[bool, typer.Option("--json", help="Print the same facts as one JSON document.")] = False,
) -> None:
    """Operate an image classifier as code: photos, training, registry, release. Global options may stand anywhere."""
    begin(ctx, kind=target, stack=stack, json=json)


def main() -> None:
    """Entry point of the installed program."""
    os.environ.update(direct(os.environ))  # before any client reads it
    # As it ends Python looks for garbage once more: seconds where torch or a provider's schema were loaded.
    atexit.register(gc.freeze)
    app(prog_name="petpark")


if __name__ == "__main__":
    main()
