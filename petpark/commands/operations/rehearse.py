"""`petpark rehearse`: the whole lifecycle on this machine. The only command that knows about the rehearsal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from petpark.app import example, invocation
from petpark.errors import OperatorError
from petpark.machine import unsupported
from petpark.output.console import Output
from petpark.targets import pulumi_cli
from rehearsal.emulators import EMULATORS, VARIABLE

if TYPE_CHECKING:
    from rehearsal.report.summary import RehearsalFacts
    from rehearsal.run import RunOptions
    from rehearsal.scenario.scenario_options import ScenarioOptions

_DIRECTORY = Path(".rehearsal")
_LET_GO = "PETPARK_REHEARSAL_LET_GO"
"""Number of the pipe on which the process that hosts a kept rehearsal reports that the scenario has finished."""

_INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as shells have it."""

_FEWEST_CLASSES = 2

type EngineName = Literal["embedded", "pulumi"]
type EmulatorName = Literal["localstack", "ministack", "localemu"]

app = typer.Typer(
    help="Rehearse the whole lifecycle on this machine, offline.",
    invoke_without_command=True,
    rich_markup_mode="rich",
)


class SystemUnsupported(OperatorError):
    """The operating system here cannot run a rehearsal."""


class PhotosMissing(OperatorError):
    """`--photos` names something that no classifier can learn from."""


Directory = Annotated[Path, typer.Option("--directory", help="Directory for everything it writes.")]


@app.callback(epilog=example("petpark rehearse --photos my-photos --keep", "petpark rehearse down"))
def rehearse(
    ctx: typer.Context,
    photos: Annotated[
        Path | None,
        typer.Option("--photos", help="Your own photos, one subfolder per class. Default: generated photos."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running and print how to use it.")] = False,
    engine: Annotated[
        EngineName | None,
        typer.Option("--engine", help="Deployment engine. Default: Pulumi if installed, else the embedded engine."),
    ] = None,
    emulator: Annotated[EmulatorName, typer.Option("--emulator", envvar=VARIABLE, help="AWS emulator.")] = "localstack",
    port: Annotated[int, typer.Option("--port", help="Port of the AWS emulator; 0 chooses a free one.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Hyperparameter of both trainings, as key=value. Repeatable.")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            metavar="transfer|few-photos|two-cores|gpu",
            help="Training recipe for your own photos. Default: transfer, a linear layer on a network pretrained on "
            "ImageNet.",
        ),
    ] = "",
    directory: Directory = _DIRECTORY,
) -> None:
    """Run the whole lifecycle on this machine: from a folder of photos to a certified model in prod."""
    if ctx.invoked_subcommand is not None:
        return
    if (reason := unsupported()) is not None:
        raise SystemUnsupported(reason, next_step="petpark doctor shows what works here.")
    if keep and _LET_GO not in os.environ:
        raise typer.Exit(_host_elsewhere())
    options = _options(
        directory=directory,
        engine=engine,
        emulator=emulator,
        port=port,
        keep=keep,
        script=_script(photos, recipe, tuple(settings or ())),
    )
    raise typer.Exit(_run(ctx, options))


@app.command(epilog=example("petpark rehearse down"))
def down(ctx: typer.Context, directory: Directory = _DIRECTORY) -> None:
    """Stop a rehearsal that was kept running, with all of its processes."""
    from rehearsal import working_directory

    pid = working_directory.end(directory.resolve()) if directory.exists() else None
    sentence = (
        "No rehearsal is running here." if pid is None else "The rehearsal has ended and left no process running."
    )
    invocation(ctx).output.record({"rehearsal": sentence}, facts={"ended": pid is not None})


def _options(
    *,
    directory: Path,
    engine: EngineName | None,
    emulator: EmulatorName,
    port: int,
    keep: bool,
    script: ScenarioOptions,
) -> RunOptions:
    from rehearsal.run import RunOptions

    return RunOptions(
        directory=directory,
        engine=engine or _installed_engine(),
        product=EMULATORS[emulator],
        port=port,
        keep=keep,
        script=script,
    )


def _script(photos: Path | None, recipe: str, settings: tuple[str, ...]) -> ScenarioOptions:
    """Drawn photos, or those of a folder; raises `PhotosMissing`, and training's `SpecMalformed`."""
    from rehearsal.scenario.scenario_options import ScenarioOptions

    if photos is None:
        if recipe:
            raise typer.BadParameter("--recipe needs --photos")
        script = ScenarioOptions()
        return replace(script, recipe=(*script.recipe, *settings))
    _refuse_hopeless(photos)
    return ScenarioOptions.of_photos(photos, recipe, settings)


def _refuse_hopeless(photos: Path) -> None:
    """Check the photos as ingestion would, before the stacks are deployed."""
    from rehearsal.scenario import growing_dataset
    from training.dataset.fitness import MIN_PHOTOS_PER_CLASS

    classes = (
        [entry for entry in photos.iterdir() if entry.is_dir() and any(entry.iterdir())] if photos.is_dir() else []
    )
    if len(classes) < _FEWEST_CLASSES:
        found = f"has photos of {len(classes)} classes" if photos.is_dir() else "is not a folder"
        raise PhotosMissing(
            f"{photos} {found}; a classifier needs at least two.",
            next_step="Pass a folder with one subfolder per class, or omit --photos to use generated photos.",
        )
    few = {label: files for label, files in growing_dataset.count(photos).items() if files < MIN_PHOTOS_PER_CLASS}
    if few:
        counts = ", ".join(f"{label} {files}" for label, files in few.items())
        raise PhotosMissing(
            f"{photos} has too few photos of some classes ({counts}); each needs {MIN_PHOTOS_PER_CLASS} at least, for "
            "training, validation and test.",
            next_step="Add photos to these folders, or remove the folders.",
        )


def _installed_engine() -> EngineName:
    return "pulumi" if pulumi_cli.find() is not None else "embedded"


def _run(ctx: typer.Context, options: RunOptions) -> int:
    from rehearsal import run
    from rehearsal.report import screen
    from rehearsal.report.summary import to_json

    output = invocation(ctx).output
    _explain_engine(output, options.engine)

    def kept(facts: RehearsalFacts) -> None:
        screen.show(output.out, facts, options.directory)
        _let_go(options.directory / "rehearsal.log")

    try:
        facts = run.run(options, output.err, kept=kept)
    except (KeyboardInterrupt, run.Terminated):
        output.err.print("Stopped early; no process of the rehearsal is running.")
        return _INTERRUPTED
    except Exception:
        threading.excepthook = report_unless_at_exit
        raise
    if output.json:
        output.document(to_json(facts))
    else:
        screen.show(output.out, facts, options.directory)
    return 0


def report_unless_at_exit(args: threading.ExceptHookArgs) -> None:
    """Report a thread's error, unless it is from a deployment that nothing waits for: it ends with the process."""
    if not (isinstance(args.exc_value, RuntimeError) and "after shutdown" in str(args.exc_value)):
        threading.__excepthook__(args)


def _explain_engine(output: Output, engine: EngineName) -> None:
    if engine == "embedded":
        output.err.print(
            "Deploying with the embedded engine, which is for rehearsals and tests only. Deploy real accounts with "
            "the Pulumi CLI.",
            style="dim",
            soft_wrap=True,
        )


def _host_elsewhere() -> int:
    """Run this same command in its own session, which outlives us, until it reports that the scenario has finished."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    host = subprocess.Popen(
        [sys.executable, "-m", "petpark", *sys.argv[1:]],
        env={**os.environ, _LET_GO: str(writer)},
        pass_fds=[writer],
        start_new_session=True,
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        while True:
            try:
                if pipe.read(1):
                    return 0
                return host.wait()
            except KeyboardInterrupt:
                host.send_signal(signal.SIGINT)


def _let_go(log: Path) -> None:
    """Release the terminal: from now on this process writes to the log only."""
    sys.stdout.flush()
    sys.stderr.flush()
    with log.open("ab") as file, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    writer = int(os.environ[_LET_GO])
    os.write(writer, b"!")
    os.close(writer)
