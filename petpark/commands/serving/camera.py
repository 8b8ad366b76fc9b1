"""`petpark camera`."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from petpark.app import example, group, invocation
from petpark.endpoints import cameras
from petpark.errors import NOT_SO
from petpark.output.formats import bad, good, moment, percent, plural, size
from petpark.output.table import Cell
from registry.clock import utc_now
from registry.layout.variables import Variable

app = group("The camera agent.")

_AGENT = "http://127.0.0.1:8090"
_COLUMNS = ("at (UTC)", "camera", "label", "", "score", "seen for", "why", "")


@app.command(
    "run",
    epilog=example(
        "petpark camera run --source gate=rtsp://192.0.2.7/stream1", "petpark camera run --config cameras.yaml"
    ),
)
def run(
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME=ADDRESS",
            help="Camera URL: rtsp://, rtsps://, http:// (MJPEG), https://, or a file. Repeatable. Put URLs with a "
            "password into --config, which other users cannot read.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Settings in YAML or JSON.")] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", help="URL of the endpoint. Default: http://127.0.0.1:8080.")
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option("--api-key-file", help="File with the API key, if the endpoint requires one."),
    ] = None,
    home: Annotated[Path | None, typer.Option("--home", help="Directory of the event spool.")] = None,
    data_lake: Annotated[
        str | None, typer.Option("--data-lake", envvar=Variable.DATA_LAKE.value, help="Bucket for events.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port of the status server. Default: 8090.")] = None,
    blur: Annotated[
        str | None, typer.Option("--blur", help="What is blurred in pictures: found (faces, plates) or everything.")
    ] = None,
    retention_hours: Annotated[
        float | None, typer.Option("--retention-hours", help="Hours that pictures stay on this disk. Default: 72.")
    ] = None,
) -> None:
    """Run the camera agent: read cameras, classify frames, record visits, and upload them to the data lake.

    Runs until SIGTERM or Ctrl-C, or until all files are played. Logs JSON lines.
    """
    settings = cameras.settings_of(
        config,
        source or [],
        {
            "endpoint": endpoint,
            "api_key_file": None if api_key_file is None else str(api_key_file),
            "home": None if home is None else str(home),
            "data_lake": data_lake,
            "port": port,
            "blur": blur,
            "retention_hours": retention_hours,
        },
    )
    cameras.run_agent(settings)


@app.command(
    "collect",
    epilog=example(
        "petpark camera collect --source gate=rtsp://192.0.2.7/stream1 --out empty",
        "petpark camera collect --config cameras.yaml --out empty --count 100 --every 300",
    ),
)
def collect(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Output folder, for background/ and background.csv.")],
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME=ADDRESS", help="Camera URL, as for `run`. Repeatable."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Settings in YAML or JSON, as for `run`.")] = None,
    count: Annotated[int, typer.Option("--count", help="Frames per camera.", min=1, max=100_000)] = 50,
    every: Annotated[
        float, typer.Option("--every", help="Minimum seconds between two frames of a camera.", min=0, max=86_400)
    ] = 600,
    still: Annotated[
        float, typer.Option("--still", help="Seconds without motion before a frame is taken.", min=0, max=3_600)
    ] = 30,
) -> None:
    """Collect frames without visitors as photos of a class `background`, so that a model recognises empty scenes.

    Frames with a face or a number plate are left out. Review the others before ingesting them: a sleeping animal does
    not move. Ends when there are enough frames, when all files are played, or at Ctrl-C; a second run adds frames.
    """
    run = invocation(ctx)
    settings = cameras.settings_of(config, source or [], {})
    plan = cameras.collection_plan(out, count=count, every=every, still=still)
    found = cameras.collect_frames(settings, plan)
    rows = [(name, str(each.written), str(each.with_people), str(each.losses)) for name, each in found.items()]
    facts = {"folder": str(out), "cameras": {name: asdict(each) for name, each in found.items()}}
    columns = ("camera", "frames", "left out: face or plate", "connections lost")
    run.output.table(columns, rows, facts=facts, empty="No camera.")
    if not any(each.written for each in found.values()):
        raise typer.Exit(NOT_SO)


@app.command("status", epilog=example("petpark camera status", "petpark camera status --json"))
def status(
    ctx: typer.Context, agent: Annotated[str, typer.Option("--agent", help="URL of the agent.")] = _AGENT
) -> None:
    """Show the state of a running agent's cameras. Exits with 1 if a camera is lost or events cannot be forwarded."""
    run = invocation(ctx)
    facts = cameras.ask_agent(agent)
    columns = ("camera", "state", "there now", "visits", "frames classified", "p50", "p99", "")
    run.output.table(columns, [_row(camera) for camera in facts["cameras"]], facts=facts, empty="No camera.")
    spool, link = facts["spool"], facts["forwarding"]
    if not run.output.json:
        kept = f"{plural(spool['waiting'], 'event')} waiting, {size(spool['bytes'])} kept, {spool['evicted']:,} evicted"
        run.output.out.print(f"{kept}. {_link(link)}", soft_wrap=True)
    if link["last_error"] or any(camera["state"] in {"lost", "connecting"} for camera in facts["cameras"]):
        raise typer.Exit(NOT_SO)


@app.command(
    "events",
    epilog=example(
        "petpark camera events",
        "petpark camera events --camera gate --count 5 --json",
        "petpark camera events --camera gate --lake --day 2026-11-26",
    ),
)
def events(
    ctx: typer.Context,
    camera: Annotated[str | None, typer.Option("--camera", help="Only this camera.")] = None,
    count: Annotated[
        int, typer.Option("--count", help="Maximum number to list, newest first.", min=1, max=10_000)
    ] = 20,
    home: Annotated[Path | None, typer.Option("--home", help="Directory of the agent.")] = None,
    lake: Annotated[bool, typer.Option("--lake", help="Read from the data lake instead of from this machine.")] = False,
    day: Annotated[
        datetime | None,
        typer.Option("--day", help="With --lake: day (UTC) of the visits. Default: today.", formats=["%Y-%m-%d"]),
    ] = None,
) -> None:
    """List recorded events, newest first: from this machine, or with --lake from the data lake."""
    run = invocation(ctx)
    if lake:
        if camera is None or home is not None:
            raise typer.BadParameter(
                "--lake requires --camera and excludes --home: the data lake is read by camera and day."
            )
        when = (day or utc_now()).date()
        events, others = cameras.in_lake(run.target(), camera=camera, day=when)
        kept = events[:count]
        empty = f"No events of camera {camera} in the data lake on {when}."
        rows = [(*_event(one), good("in the lake")) for one in kept]
        rows += [("–", camera, "–", "–", "–", "–", "", bad(f"unreadable: {key}")) for key in others]
        facts = [*kept, *({"key": key, "problem": "not an event of a camera agent"} for key in others)]
        run.output.table(_COLUMNS, rows, facts=facts, empty=empty)
        return
    if day is not None:
        raise typer.BadParameter("--day requires --lake; events of this machine are listed newest first.")
    found, others, counts = cameras.recorded(home, count=count, camera=camera)
    told: list[dict[str, Any]] = [
        {**spooled.event.to_dict(), "sequence": spooled.sequence, "forwarded": spooled.forwarded} for spooled in found
    ]
    rows = [(*_event(event), good("forwarded") if event["forwarded"] else "waiting") for event in told]
    rows += [
        ("–", "–", "–", "–", "–", "–", "", bad(f"unreadable: {other.sequence}, {other.problem}")) for other in others
    ]
    facts = {"events": told, "unreadable": [asdict(other) for other in others], "spool": counts.to_dict()}
    run.output.table(_COLUMNS, rows, facts=facts, empty="No events yet.")


def _event(facts: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        moment(facts["at"]),
        facts["camera"],
        facts["label"],
        facts["kind"],
        percent(facts["score"]),
        f"{facts['seconds']:.0f} s",
        facts["why"] or "",
    )


def _row(camera: dict[str, Any]) -> tuple[Cell, ...]:
    latency = camera["latency_milliseconds"]
    state: Cell = good(camera["state"]) if camera["state"] == "live" else bad(camera["state"])
    return (
        camera["name"],
        state,
        ", ".join(camera["visiting"]) or "nobody",
        str(camera["visits"]),
        f"{camera['frames']['classified']:,}",
        "–" if latency["p50"] is None else f"{latency['p50']:.0f} ms",
        "–" if latency["p99"] is None else f"{latency['p99']:.0f} ms",
        camera["reason"],
    )


def _link(link: dict[str, Any]) -> str:
    if link["to"] is None:
        return "Events stay on this machine: no data lake is set."
    return f"Forwarding to {link['to']}: {link['last_error'] or 'fine'}"
