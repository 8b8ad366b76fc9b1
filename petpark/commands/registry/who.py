"""`petpark who`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from petpark.app import example, invocation
from petpark.commands.formatting import brief
from petpark.commands.registry.past import parse_moment
from petpark.errors import NOT_SO
from petpark.models import answered
from petpark.models.answered import Answered
from petpark.output.console import Section
from petpark.output.formats import bad, good, moment, percent, short
from petpark.output.table import Cell
from registry.clock import utc_now
from registry.identity import person
from registry.telemetry import camera_of

_BYTES = frozenset({"embedding", "thumbnail"})
_HASHES = ("dataset", "code", "lock")


def who(
    ctx: typer.Context,
    request_id: Annotated[str, typer.Argument(metavar="ID", help="`request_id` of the answer (header X-Request-Id).")],
    camera: Annotated[str, typer.Option("--camera", help="Search only this camera's predictions.")] = "",
    days: Annotated[int, typer.Option("--days", help="Days to search, newest first.", min=1, max=3650)] = 7,
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Latest time of the prediction.")] = "",
) -> None:
    """Show the version, certificate, dataset, code and people behind a recorded prediction.

    Exits with 1 if the record and the registry contradict each other.
    """
    run = invocation(ctx)
    if camera and camera_of(camera) is None and not camera.startswith("caller."):
        raise typer.BadParameter(f"{camera!r} is not a camera's name.")
    latest = parse_moment(until) if until else utc_now()
    with run.output.progress("Searching the recorded predictions"):
        found = answered.who(run.target(), request_id, camera=camera or None, until=latest, days=days)
    sections: dict[str, Section] = {}
    for each in found:
        photo = f", photo {each.row['item']}" if len(found) > 1 else ""
        sections |= {f"{heading}{photo}": section for heading, section in _sections(each).items()}
    run.output.sections(sections, facts={"id": request_id, "predictions": [_facts(each) for each in found]})
    if not all(each.sound for each in found):
        raise typer.Exit(NOT_SO)


def _sections(found: Answered) -> Mapping[str, Section]:
    row, version, certificate = found.row, found.version, found.certificate
    shares = ", ".join(
        f"{label} {percent(share)}" for label, share in zip(row["labels"], row["probabilities"], strict=True)
    )
    prediction: dict[str, Cell] = {
        "answer": f"{row['label']} ({shares})",
        "at (UTC)": moment(row["at"].isoformat(timespec="seconds")),
        "camera": row["camera"],
        "instance": row["instance"],
    }
    served: dict[str, Cell] = {"version": f"{row['model']} {row['version']}, {short(row['digest'])}"}
    if found.entry is not None:
        served["promoted by"] = f"{person(found.entry.by)}: {found.entry.why}"
        served["channel"] = f"{row['channel']}, entry {found.entry.number}"
    if found.experiment is not None:
        started = found.experiment
        served["experiment"] = f"{started.mode}, started by {person(started.by)}: {started.why}"
    if certificate is None:
        served["certificate"] = bad("none by then")
    else:
        sentence = f"{certificate.decision} by {person(certificate.by)} on {moment(certificate.at)}: {certificate.note}"
        served["certificate"] = good(sentence) if certificate.decision == "certified" else bad(sentence)
    made: dict[str, Cell] = {}
    if version is not None:
        facts = version.lineage
        made = {name: brief(facts[name]) for name in (*_HASHES, "run") if name in facts}
        made |= {
            f"{what} by": person(facts[f"{what}_by"]) for what in ("requested", "trained") if f"{what}_by" in facts
        }
    proofs: dict[str, Cell] = {
        proof.what: good(proof.detail) if proof.ok else bad(str(proof.error)) for proof in found.proofs
    }
    return {"Prediction": prediction, "Served": served, "Made from": made, "Proof": proofs}


def _facts(found: Answered) -> Mapping[str, Any]:
    row = {name: value for name, value in found.row.items() if name not in _BYTES}
    return {
        "prediction": {**row, "at": row["at"].isoformat()},
        "version": found.version and {**found.version.to_dict(), "digest": found.version.digest},
        "entry": found.entry and {**asdict(found.entry), "sha256": found.entry.sha256},
        "experiment": found.experiment and asdict(found.experiment),
        "certificate": found.certificate and asdict(found.certificate),
        "proofs": [proof.to_dict() for proof in found.proofs],
        "sound": found.sound,
    }


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "who",
        epilog=example(
            "petpark who 4f1d0c7a9b3e4c5d8e6f7a8b9c0d1e2f --stack prod", "petpark who ID --camera gate --days 30 --json"
        ),
    )(who)
