"""`petpark camera`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from petpark import cameras
from petpark.app import example, group, invocation
from petpark.errors import NOT_SO
from petpark.output import Cell, bad, good, moment, percent, plural, size
from registry.layout import Variable

app = group("The agent beside a camera.")

_AGENT = "http://127.0.0.1:8090"


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
            help="A camera: rtsp://, rtsps://, http:// (MJPEG), https://, or a file. May be repeated. "
            "Addresses with a password belong into --config, which other users need not read.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Settings in YAML or JSON.")] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", help="Who classifies; http://127.0.0.1:8080 unless said.")
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option("--api-key-file", help="File that holds the API key, where the endpoint asks for one."),
    ] = None,
    home: Annotated[Path | None, typer.Option("--home", help="Folder in which events wait and stay.")] = None,
    data_lake: Annotated[
        str | None, typer.Option("--data-lake", envvar=Variable.DATA_LAKE.value, help="Bucket that events go to.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", help="Where it answers `status`; 8090 unless said.")] = None,
    blur: Annotated[
        str | None, typer.Option("--blur", help="What is hidden in pictures: found (faces, plates) or everything.")
    ] = None,
    retention_hours: Annotated[
        float | None, typer.Option("--retention-hours", help="How long pictures stay on this disk; 72 unless said.")
    ] = None,
) -> None:
    """Watch cameras, ask the endpoint who is there, record visits, and send them to the data lake.

    Runs until SIGTERM or Ctrl-C, or until every file was played. Its log is JSON lines.
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


@app.command("status", epilog=example("petpark camera status", "petpark camera status --json"))
def status(
    ctx: typer.Context, agent: Annotated[str, typer.Option("--agent", help="Where the agent answers.")] = _AGENT
) -> None:
    """Ask a running agent how its cameras are.

    Ends with 1 when one of them is lost or events cannot be forwarded.
    """
    run = invocation(ctx)
    facts = cameras.ask_agent(agent)
    columns = ("camera", "state", "there now", "visits", "frames asked", "p50", "p99", "")
    run.output.table(columns, [_row(camera) for camera in facts["cameras"]], facts=facts, empty="No camera.")
    spool, link = facts["spool"], facts["forwarding"]
    if not run.output.json:
        kept = f"{plural(spool['waiting'], 'event')} waiting, {size(spool['bytes'])} kept, {spool['evicted']:,} evicted"
        run.output.out.print(f"{kept}. {_link(link)}", soft_wrap=True)
    if link["last_error"] or any(camera["state"] in {"lost", "connecting"} for camera in facts["cameras"]):
        raise typer.Exit(NOT_SO)


@app.command("events", epilog=example("petpark camera events", "petpark camera events --camera gate --count 5 --json"))
def events(
    ctx: typer.Context,
    camera: Annotated[str | None, typer.Option("--camera", help="Of this camera alone.")] = None,
    count: Annotated[int, typer.Option("--count", help="How many, newest first.", min=1, max=10_000)] = 20,
    home: Annotated[Path | None, typer.Option("--home", help="Folder of the agent.")] = None,
) -> None:
    """List what was recorded on this machine, newest first, whether it reached the data lake or not."""
    found, counts = cameras.recorded(home, count=count, camera=camera)
    facts = {
        "events": [
            {**spooled.event.to_dict(), "sequence": spooled.sequence, "forwarded": spooled.forwarded}
            for spooled in found
        ],
        "spool": counts.to_dict(),
    }
    rows = [
        (
            moment(spooled.event.at),
            spooled.event.camera,
            spooled.event.label,
            spooled.event.kind,
            percent(spooled.event.score),
            f"{spooled.event.seconds:.0f} s",
            spooled.event.why or "",
            good("forwarded") if spooled.forwarded else "waiting",
        )
        for spooled in found
    ]
    columns = ("at (UTC)", "camera", "label", "", "score", "seen for", "why", "")
    invocation(ctx).output.table(columns, rows, facts=facts, empty="Nothing was recorded yet.")


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
        return "Events stay here: no data lake is named."
    return f"Forwarding to {link['to']}: {link['last_error'] or 'fine'}"
