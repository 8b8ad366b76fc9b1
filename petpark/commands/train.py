"""`petpark train`."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from petpark import datasets, jobs
from petpark.app import Invocation, example, invocation
from petpark.errors import WeightsMissing
from petpark.jobs import EpochSeen, Finished, InstanceSeen
from petpark.pretrained import fetch_pretrained
from petpark.target import Target

_IMAGENET = "imagenet"


def train(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Option("--dataset", help="The dataset's hash, or its first digits.")] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A hyper-parameter as key=value; may be repeated.")
    ] = None,
    max_minutes: Annotated[int, typer.Option("--max-minutes", help="End the job after this time.", min=1)] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Seeds everything that is random.")] = 0,
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            metavar="VERSION|FILE|imagenet",
            help="Start from a version's weights, from a file, or from those that torchvision publishes.",
        ),
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Stay until the job has ended.")] = False,
    resume: Annotated[
        str, typer.Option("--resume", metavar="JOB", help="Take up an interrupted job where it was.")
    ] = "",
) -> None:
    """Train on an instance of the stack, from a dataset (--dataset) or an interrupted job (--resume)."""
    if bool(dataset) == bool(resume):
        raise typer.BadParameter("give either --dataset SHA for a new job, or --resume JOB for an interrupted one")
    run = invocation(ctx)
    target = run.target()
    job = resume or _submit(target, dataset, settings or [], seed=seed, max_minutes=max_minutes, weights=weights)
    instance = jobs.resume(target, job) if resume else jobs.launch(target, job)
    facts: dict[str, Any] = {"job": job, "instance": instance}
    if watch:
        run.output.note(f"Job {job} on {instance}")
        facts |= _watch(run, target, job, instance)
    shown = {name: str(value) for name, value in facts.items() if name != "epochs"}
    run.output.record(shown, facts=facts)
    if not watch:
        run.output.note("See how it does: petpark jobs list")


def _submit(target: Target, dataset: str, settings: list[str], *, seed: int, max_minutes: int, weights: str) -> str:
    """Plan and submit a new job; its id."""
    spec = jobs.plan(target, datasets.resolve(target, dataset), settings, seed=seed, max_minutes=max_minutes)
    if not weights:
        return jobs.submit(target, spec)
    if weights.isdecimal():
        return jobs.submit(target, replace(spec, initial_weights=jobs.weights_of(target, int(weights))))
    with tempfile.TemporaryDirectory() as directory:
        if weights == _IMAGENET:
            file = fetch_pretrained(spec.hyper_parameters.architecture, Path(directory))
        else:
            file = _file(weights)
        initial = hashlib.sha256(file.read_bytes()).hexdigest()
        return jobs.submit(target, replace(spec, initial_weights=initial), weights=file)


def _file(weights: str) -> Path:
    path = Path(weights)
    if not path.is_file():
        raise WeightsMissing(f"{weights} is neither a version's number nor a file.", next_step="petpark models list")
    return path


def _watch(run: Invocation, target: Target, job: str, instance: str) -> dict[str, Any]:
    """Show the job's events as they come; the facts of its end."""
    epochs: list[dict[str, Any]] = []
    ended: dict[str, Any] = {}
    with run.output.progress(f"Job {job}") as report:
        for event in jobs.watch(target, job, instance_id=instance):
            match event:
                case InstanceSeen():
                    run.output.note(f"instance {event.instance_id} is {event.state}")
                case EpochSeen():
                    epochs.append(asdict(event.record))
                    report(event.record.epoch, event.record.of)
                    run.output.note(jobs.sentence(event.record))
                case Finished():
                    ended = asdict(event.result)
    return {**ended, "epochs": epochs}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "train",
        epilog=example(
            "petpark train --dataset 3fa9 --set epochs=40 --set image_size=96 --watch",
            "petpark train --resume 20260802-101500-3fa9",
        ),
    )(train)
