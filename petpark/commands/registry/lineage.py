"""`petpark models lineage`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from petpark.app import example, invocation
from petpark.commands.formatting import Named, accuracy, brief
from petpark.models import lineage as lineages
from petpark.models.lineage import Origin, OriginUnknown, Run
from petpark.models.model_versions import resolve
from petpark.output.formats import bad, moment, plural, short
from registry.identity import person

if TYPE_CHECKING:
    from training.dataset import Manifest


def lineage(
    ctx: typer.Context,
    version: Named,
    photos: Annotated[bool, typer.Option("--photos", help="List every photo that it was made from.")] = False,
) -> None:
    """Show what a version was made from: run, dataset, photos, and the version it started from.

    What no longer exists is listed as missing; jobs expire after 90 days.
    """
    run = invocation(ctx)
    target = run.target()
    with run.output.progress("Reading the lineage"):
        origin = lineages.walk(target, resolve(target, version))
    run.output.show(_tree(origin, photos=photos), facts=_facts(origin, photos=photos))


# --- for people ----------------------------------------------------------------------------------------------------


def _tree(origin: Origin, *, photos: bool) -> Tree:
    version = origin.version
    measured = "" if "accuracy" not in version.metrics else f", accuracy {accuracy(version.metrics)}"
    heading = f"  {short(version.digest)}, {moment(version.created_at)}{measured}"
    tree = Tree(Text.assemble((version.title, "bold"), heading), guide_style="dim")
    _add_run(tree, origin)
    _add_dataset(tree, origin, photos=photos)
    _add_weights(tree, origin, photos=photos)
    return tree


def _add_run(tree: Tree, origin: Origin) -> None:
    facts = origin.version.lineage
    branch = tree.add(Text.assemble(("run ", "bold"), facts.get("run", "not named")))
    asked, trained = facts.get("requested_by"), facts.get("trained_by")
    if asked or trained:
        branch.add(f"requested by {person(asked or 'unknown')}, trained by {brief(trained or 'unknown')}")
    code = [f"{name} {brief(facts[name])}" for name in ("code", "lock", "seed") if name in facts]
    if code:
        branch.add(", ".join(code))
    match origin.run:
        case OriginUnknown(reason=reason):
            branch.add(bad(reason))
        case Run() as run:
            for line in _run_lines(run):
                branch.add(Text(line))
        case None:
            pass


def _run_lines(run: Run) -> Iterator[str]:
    yield f"settings: {_settings(run)}"
    if run.last is not None:
        last = run.last
        yield f"{run.epochs} of {last.of} epochs, the last with accuracy {last.accuracy:.1%} on validation photos"
    if run.result is None:
        yield "no result stored"
    else:
        of = f", version {run.result.version}" if run.result.version else f": {run.result.error}"
        yield f"{run.result.status} after {run.result.seconds:.0f} s{of}"


def _settings(run: Run) -> str:
    """The hyper-parameters that are not the defaults."""
    from training.hyper_parameters import HyperParameters

    usual = asdict(HyperParameters())
    changed = {name: value for name, value in asdict(run.spec.hyper_parameters).items() if value != usual[name]}
    return ", ".join(f"{name}={value}" for name, value in changed.items()) or "the defaults"


def _add_dataset(tree: Tree, origin: Origin, *, photos: bool) -> None:
    sha256 = origin.version.lineage.get("dataset")
    branch = tree.add(Text.assemble(("dataset ", "bold"), "not named" if sha256 is None else short(sha256)))
    match origin.dataset:
        case None:
            return
        case OriginUnknown(reason=reason):
            branch.add(bad(reason))
        case manifest:
            branch.add(plural(len(manifest.photos), "photo"))
            for label, counts in manifest.counts().items():
                parts = ", ".join(f"{split} {count:,}" for split, count in counts.items())
                leaf = branch.add(Text(f"{label}  {sum(counts.values()):,}: {parts}"))
                for photo in manifest.photos if photos else ():
                    if photo.label == label:
                        leaf.add(Text(f"{photo.key}  {photo.split}, {short(photo.sha256)}"))


def _add_weights(tree: Tree, origin: Origin, *, photos: bool) -> None:
    sha256 = origin.version.lineage.get("initial_weights")
    if sha256 is None or origin.weights is None:
        tree.add(Text.assemble(("weights ", "bold"), "from scratch"))
        return
    branch = tree.add(Text.assemble(("weights ", "bold"), f"from {short(sha256)}"))
    if isinstance(origin.weights, OriginUnknown):
        branch.add(origin.weights.reason)
    else:
        branch.children.append(_tree(origin.weights, photos=photos))


# --- for programs --------------------------------------------------------------------------------------------------


def _facts(origin: Origin, *, photos: bool) -> dict[str, Any]:
    version = origin.version
    return {
        "version": version.number,
        "model": version.model,
        "digest": version.digest,
        "created_at": version.created_at,
        "metrics": dict(version.metrics),
        "lineage": dict(version.lineage),
        "run": _run_facts(origin),
        "dataset": _dataset_facts(origin, photos=photos),
        "initial_weights": _weights_facts(origin, photos=photos),
    }


def _run_facts(origin: Origin) -> dict[str, Any] | None:
    if origin.run is None:
        return None
    job = {"job": origin.version.lineage["run"]}
    if isinstance(origin.run, OriginUnknown):
        return {**job, "lost": origin.run.reason}
    run = origin.run
    return {
        **job,
        "lost": None,
        "spec": asdict(run.spec),
        "result": run.result and asdict(run.result),
        "epochs": run.epochs,
        "last_epoch": run.last and asdict(run.last),
    }


def _dataset_facts(origin: Origin, *, photos: bool) -> dict[str, Any] | None:
    if origin.dataset is None:
        return None
    named = {"sha256": origin.version.lineage["dataset"]}
    if isinstance(origin.dataset, OriginUnknown):
        return {**named, "lost": origin.dataset.reason}
    manifest: Manifest = origin.dataset
    entry = {**named, "lost": None, "photos": len(manifest.photos), "counts": manifest.counts()}
    listed = [{name: getattr(photo, name) for name in ("key", "sha256", "label", "split")} for photo in manifest.photos]
    return {**entry, "list": listed} if photos else entry


def _weights_facts(origin: Origin, *, photos: bool) -> dict[str, Any] | None:
    if origin.weights is None:
        return None
    named = {"sha256": origin.version.lineage["initial_weights"]}
    if isinstance(origin.weights, OriginUnknown):
        return {**named, "lost": origin.weights.reason}
    return {**named, "lost": None, "origin": _facts(origin.weights, photos=photos)}


def register(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command("lineage", epilog=example("petpark models lineage 12", "petpark models lineage 12 --photos --json"))(
        lineage
    )
