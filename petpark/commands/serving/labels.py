"""`petpark labels`."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petpark.app import example, group, invocation
from petpark.commands.registry.past import parse_moment
from petpark.errors import PortTaken
from petpark.labels import export as exporting
from petpark.labels import samples
from petpark.labels.samples import MOST
from petpark.output.console import Columns, Section
from petpark.output.formats import percent, plural
from petpark.output.table import Cell
from registry.clock import utc_now
from registry.identity import person
from registry.layout.roles import Role

if TYPE_CHECKING:
    from monitoring.late_labels.estimates import Agreement
    from monitoring.late_labels.true_accuracy import LabelledSample, TrueAccuracy

app = group("True accuracy from recorded photos that people label, and these photos as candidates for ingestion.")


class Grouping(StrEnum):
    """Groups for the accuracy."""

    WEEK = "week"
    CAMERA = "camera"
    VERSION = "version"


_SAMPLE = typer.Option("--sample", metavar="SAMPLE", help="Default: the stack's newest sample.")


@app.command(
    "sample",
    epilog=example("petpark labels sample --stack prod", "petpark labels sample --count 500 --from 2026-11-01 --json"),
)
def sample(
    ctx: typer.Context,
    count: Annotated[int, typer.Option("--count", min=1, max=MOST, help="Photos to label.")] = 300,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Random seed of the sample.")] = 0,
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="Default: Monday of last week, UTC.")] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Default: the Monday after it.")] = "",
) -> None:
    """Draw a stratified sample of recorded predictions with a thumbnail to label.

    Strata are week, camera, version, predicted class and confidence; each gets at least one photo. Only cameras in
    petpark:telemetry_thumbnails have thumbnails. Samples may not overlap.
    """
    run = invocation(ctx)
    monday, after = samples.last_week(utc_now())
    start, end = parse_moment(begin) if begin else monday, parse_moment(until) if until else after
    if start >= end:
        raise typer.BadParameter("it must be before --to", param_hint="--from")
    with run.output.progress("Reading recorded predictions") as report:
        made = samples.draw(
            run.target(),
            run.stack,
            start=start,
            end=end,
            count=count,
            seed=seed,
            progress=lambda done, of: report(done, of, "cameras"),
        )
    twice = sum(photo.twice for photo in made.photos)
    fields: dict[str, Cell] = {
        "sample": made.id,
        "photos": f"{len(made.photos):,} of {made.recorded:,} recorded",
        "strata": f"{len(made.strata):,}",
        "for two people": str(twice),
        "cannot be labelled": f"{made.without_thumbnail:,} without a thumbnail",
    }
    run.output.record(
        fields,
        facts={
            "sample": made.id,
            "stack": made.stack,
            "seed": made.seed,
            "photos": len(made.photos),
            "for_two_people": twice,
            "recorded": made.recorded,
            "without_thumbnail": made.without_thumbnail,
            "strata": [asdict(each) for each in made.strata],
        },
    )
    run.output.note(f"Next: petpark labels page --stack {run.stack}")


@app.command(
    "page", epilog=example("petpark labels page --stack prod --open", "petpark labels page --sample SAMPLE --port 8700")
)
def page(
    ctx: typer.Context,
    sample: Annotated[str | None, _SAMPLE] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Default: a free port.")] = 0,
    show: Annotated[
        bool,
        typer.Option(
            "--open", help="Open the page in a browser. Other users of this machine can then read the address."
        ),
    ] = False,
) -> None:
    """Serve the labelling page of a sample on this machine, until Ctrl-C.

    It shows neither predictions nor other people's labels. The address contains a secret token. Labels are stored
    under the name of your AWS session.
    """
    run = invocation(ctx)
    target = run.target()
    found = samples.read(target, run.stack, sample)
    from petpark.labels.labelling import Labelling
    from petpark.labels.server import LabelServer

    labelling = Labelling(samples.lake(target), found, by=target.identity(role=Role.CERTIFIER))
    try:
        server = LabelServer(labelling, port=port)
    except OSError as error:
        raise PortTaken(
            f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}.", next_step="Choose another one: --port 0"
        ) from error
    with server:
        run.output.record(
            {"page": server.url, "sample": found.id, "person": labelling.person},
            facts={"page": server.url, "sample": found.id, "person": labelling.person},
        )
        run.output.out.file.flush()  # a program that started this one waits for the address
        if show:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            run.output.note("The page was stopped. All labels that it showed as saved are stored.")


@app.command(
    "report",
    epilog=example("petpark labels report --stack prod", "petpark labels report --by camera --by version --json"),
)
def report(
    ctx: typer.Context,
    by: Annotated[list[Grouping] | None, typer.Option("--by", help="Default: week. Repeatable.")] = None,
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="Default: the first sample.")] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Default: now.")] = "",
) -> None:
    """Show the accuracy of recorded predictions according to labels, with 95 % intervals, and agreement.

    The accuracy covers recorded predictions with a thumbnail. Photos on which two people disagree are listed and do
    not count until a third person has labelled them.
    """
    from monitoring.late_labels.true_accuracy import agreement, read_labelled, true_accuracy

    run = invocation(ctx)
    grouping = [each.value for each in by or [Grouping.WEEK]]
    with run.output.progress("Reading labels"):
        found = read_labelled(
            samples.lake(run.target()),
            run.stack,
            start=parse_moment(begin) if begin else None,
            end=parse_moment(until) if until else None,
        )
    rows, agreed = true_accuracy(found, by=grouping), agreement(found)
    differ = [line for each in found for line in _disputes(each)]
    columns = (*grouping, "accuracy", "95 % interval", "labelled", "open", "disputed", "cannot tell", "represents")
    sections: dict[str, Section] = {
        "Accuracy": Columns(columns, [_row(grouping, each) for each in rows]),
        "Agreement": {"two people": _agreed(agreed)} if found else {},
        "Disputed": Columns(
            ("sample", "photo", "labels"),
            [(each["sample"], str(each["photo"]), _labels_text(each["said"])) for each in differ],
        ),
    }
    facts = {
        "stack": run.stack,
        "samples": [each.sample.id for each in found],
        "by": grouping,
        "accuracy": [asdict(each) for each in rows],
        "agreement": agreed and asdict(agreed),
        "disputed": differ,
    }
    if not found:
        run.output.table((), [], facts=facts, empty=f"Stack {run.stack} has no sample: petpark labels sample")
        return
    run.output.sections(sections, facts=facts)


@app.command(
    "export",
    epilog=example(
        "petpark labels export --out candidates", "petpark labels export --out candidates --photos originals --json"
    ),
)
def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Output folder; created if it does not exist.")],
    photos: Annotated[
        Path | None,
        typer.Option("--photos", exists=True, file_okay=False, help="Original photos, named by request id: ID.jpg."),
    ] = None,
    neither: Annotated[
        str | None,
        typer.Option("--neither", metavar="LABEL", help="Label of photos that show no class. Default: excluded."),
    ] = None,
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="Default: the first sample.")] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Default: now.")] = "",
) -> None:
    """Write decided labels as candidates for `petpark data ingest`: a list, and with --photos an index of originals.

    petpark keeps only thumbnails, which are too small to train on; files of that size are refused. Exits with 1 if
    there are no labels.
    """
    from monitoring.late_labels.true_accuracy import read_labelled

    run = invocation(ctx)
    target = run.target()
    with run.output.progress("Reading labels"):
        found = read_labelled(
            target.store(target.outputs.data_lake, role=Role.PUBLISHER),
            run.stack,
            start=parse_moment(begin) if begin else None,
            end=parse_moment(until) if until else None,
        )
    made = exporting.export(exporting.candidates(found, neither=neither), out, photos=photos)
    fields: dict[str, Cell] = {"labels": str(made.labels), "candidates": str(made.candidates)}
    if made.index is not None:
        fields |= {
            "index": str(made.index),
            "originals": str(made.indexed),
            "without an original": str(len(made.missing)),
            **{f"  {name}": why for name, why in made.refused.items()},
        }
    run.output.record(fields, facts=asdict(made))
    if made.index is not None and made.indexed:
        run.output.note(f"Next: petpark data ingest {photos} --index {made.index} --base DATASET")


def _row(grouping: Sequence[str], each: TrueAccuracy) -> tuple[Cell, ...]:
    known = each.accuracy is not None
    low, high = each.interval
    stands_for = f"{each.covered:.0%} of {each.recorded:,}" if each.covered < 1 else f"{each.recorded:,}"
    return (
        *(str(getattr(each, name)) for name in grouping),
        percent(each.accuracy) if each.accuracy is not None else "unknown",
        f"{percent(low)} to {percent(high)}" if known else "–",
        f"{each.labelled:,} of {each.drawn:,}",
        str(each.open),
        str(each.disputed),
        str(each.unknown),
        stands_for if known else "–",
    )


def _agreed(agreed: Agreement | None) -> str:
    if agreed is None:
        return "unknown: no photo has two labels"
    low, high = agreed.interval
    kappa = f"kappa {agreed.kappa:.2f} ({low:.2f} to {high:.2f})"
    return f"{percent(agreed.share)} of {plural(agreed.photos, 'photo')}; {kappa}"


def _disputes(labelled: LabelledSample) -> list[dict[str, Any]]:
    from monitoring.late_labels.true_accuracy import State

    return [
        {
            "sample": labelled.sample.id,
            "photo": number,
            "id": photo.id,
            "said": [
                {"person": each.person, "answer": each.answer, "label": each.label} for each in labelled.given[number]
            ],
        }
        for number, photo, found in labelled.truths()
        if found.state is State.DISPUTED
    ]


def _labels_text(said: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{person(each['person'])}: {each['label'] or each['answer']}" for each in said)
