"""The `petpark` program: a table of contents of its commands."""

import atexit
import gc
import os
from typing import Annotated

import typer

from petpark import rehearse
from petpark.app import Commands, TargetKind, begin, example
from petpark.commands import (
    api_keys,
    camera,
    costs,
    data,
    decisions,
    doctor,
    endpoints,
    experiment,
    jobs,
    models,
    people,
    runs,
    search,
    train,
)
from petpark.loopback import direct

app = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False)


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


doctor.register(app)
costs.register(app)
train.register(app)
decisions.register(app)
app.add_typer(data.app, name="data")
app.add_typer(jobs.app, name="jobs")
app.add_typer(runs.app, name="runs")
app.add_typer(search.app, name="search")
app.add_typer(models.app, name="models")
app.add_typer(endpoints.app, name="endpoints")
app.add_typer(camera.app, name="camera")
app.add_typer(api_keys.app, name="keys")
app.add_typer(people.app, name="people")
app.add_typer(experiment.app, name="experiment")
app.add_typer(rehearse.app, name="rehearse")


def main() -> None:
    """Entry point of the installed program."""
    os.environ.update(direct(os.environ))  # before any client reads it
    # As it ends Python looks for garbage once more: seconds where torch or a provider's schema were loaded.
    atexit.register(gc.freeze)
    app(prog_name="petpark")


if __name__ == "__main__":
    main()
