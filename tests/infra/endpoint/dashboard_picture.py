"""Draws a stack's dashboard as CloudWatch's console would, with made-up measurements, to look at its layout.

`python -m tests.infra.endpoint.dashboard_picture FOLDER` writes a page and a picture for each stack. No part of
CloudWatch runs here: what widgets look like in the console is imitated, and where they are is exact.
"""

import html
import json
import random
import re
import sys
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.browser import chromium
from tests.infra.conftest import Deployment, deploy, write_checkout

WIDTH, UNIT, GAP = 1440, 50, 6
STYLE = """
body { font: 13px/1.4 Arial, sans-serif; margin: 0; background: #f2f3f3; color: #16191f; position: relative }
section { position: absolute; background: #fff; border: 1px solid #d5dbdb; box-sizing: border-box; overflow: hidden }
section.text { background: none; border: 0; padding: 2px 8px } section.text > * { margin: 2px 0 }
h3 { font-size: 14px; margin: 6px 10px } svg { display: block } a { color: #0073bb }
.alarms { display: grid; grid-template-columns: repeat(4, 1fr); gap: 6px; padding: 0 10px }
.alarms div { border-left: 6px solid #1d8102; background: #f2f8f0; padding: 6px; font-size: 12px; height: 31px }
"""


def picture(body: Mapping[str, Any]) -> str:
    """Returns a page that shows the dashboard."""
    widgets = body["widgets"]
    height = UNIT * max(each["y"] + each["height"] for each in widgets)
    drawn = "".join(_widget(each) for each in widgets)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Dashboard</title><style>{STYLE}</style>'
        f'<body style="width:{WIDTH}px;height:{height}px">{drawn}</body></html>'
    )


def _widget(widget: Mapping[str, Any]) -> str:
    column = WIDTH / 24
    size = (column * widget["width"] - GAP, UNIT * widget["height"] - GAP)
    place = f"left:{column * widget['x']}px;top:{UNIT * widget['y']}px;width:{size[0]}px;height:{size[1]}px"
    drawn = {"text": _text, "alarm": _alarms, "metric": _graph}[widget["type"]](widget["properties"], size)
    return f'<section class="{widget["type"]}" style="{place}">{drawn}</section>'


def _text(properties: Mapping[str, Any], _size: tuple[float, float]) -> str:
    lines = [html.escape(line) for line in properties["markdown"].splitlines() if line]
    lines = [re.sub(r"\[([^]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', line) for line in lines]
    lines = [re.sub(r"`([^`]+)`", r"<code>\1</code>", line) for line in lines]
    heads = {"# ": "h1", "## ": "h2"}
    return "".join(
        next((f"<{tag}>{line.removeprefix(mark)}</{tag}>" for mark, tag in heads.items() if line.startswith(mark)), "")
        or f"<p>{line}</p>"
        for line in lines
    )


def _alarms(properties: Mapping[str, Any], _size: tuple[float, float]) -> str:
    names = (html.escape(arn.rpartition("/")[2].rpartition(":")[2]) for arn in properties["alarms"])
    cells = "".join(f"<div>{name}</div>" for name in names)
    return f'<h3>{html.escape(properties["title"])}</h3><div class="alarms">{cells}</div>'


def _graph(properties: Mapping[str, Any], size: tuple[float, float]) -> str:
    """Each visible line is a random walk on the side of the threshold on which the alarm does not go off."""
    annotations = properties.get("annotations", {}).get("horizontal", [])
    labels = [row[-1]["label"] for row in properties["metrics"] if row[-1].get("visible", True)]
    level = max([each["value"] for each in annotations], default=100) or 1
    low = any(each["fill"] == "below" for each in annotations)
    highest = level * (1.6 if low else 1.25)
    left, top, width, height = 56, 8, size[0] - 84, size[1] - 100

    def y(value: float) -> float:
        return top + height * (1 - min(value, highest) / highest)

    parts = [
        f'<text x="{left - 6}" y="{y(highest * part) + 4}" text-anchor="end">{round(highest * part, 2):g}</text>'
        f'<line x1="{left}" x2="{left + width}" y1="{y(highest * part)}" y2="{y(highest * part)}" stroke="#eaeded"/>'
        for part in (0, 0.25, 0.5, 0.75, 1)
    ]
    for each in annotations:
        at = y(each["value"])
        bottom, upper = (top + height, at) if each["fill"] == "below" else (at, top)
        parts.append(
            f'<rect x="{left}" y="{upper}" width="{width}" height="{bottom - upper}" fill="{each["color"]}" '
            f'opacity=".08"/><line x1="{left}" x2="{left + width}" y1="{at}" y2="{at}" stroke="{each["color"]}"/>'
            f'<text x="{left + width - 4}" y="{at - 4}" text-anchor="end" fill="{each["color"]}">'
            f"{html.escape(each['label'])}</text>"
        )
    legend: list[str] = []
    for number, label in enumerate(labels):
        colour = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd")[number % 4]
        chance = random.Random(zlib.crc32(f"{properties['title']} {label}".encode()))
        values = [level * (1.3 if low else 0.4) * (1 + 0.25 * chance.uniform(-1, 1)) for _ in range(60)]
        path = " ".join(f"{left + width * at / 59:.0f},{y(value):.1f}" for at, value in enumerate(values))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
        legend.append(f'<span style="color:{colour}">■</span> {html.escape(label)}')
    unit = html.escape(properties["yAxis"]["left"]["label"])
    parts.append(f'<text transform="translate(12 {top + height / 2}) rotate(-90)" text-anchor="middle">{unit}</text>')
    times = "".join(
        f'<text x="{left + width * part / 4}" y="{top + height + 16}" text-anchor="middle">{6 * part:02}:00</text>'
        for part in range(5)
    )
    svg = f'<svg width="{size[0]}" height="{height + 34}" font-size="11">{"".join(parts)}{times}</svg>'
    return (
        f'<h3>{html.escape(properties["title"])}</h3>{svg}<div style="padding:0 10px">{" &nbsp; ".join(legend)}</div>'
    )


def body_of(deployment: Deployment) -> dict[str, Any]:
    """The dashboard that a deployment declares."""
    (made,) = [each.inputs for each in deployment.resources if each.type.endswith(":Dashboard")]
    return json.loads(made["dashboardBody"])


def main(folder: Path) -> None:
    """Deploy both stacks against Pulumi's mocks, and draw their dashboards."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Deployment] = {}
    with tempfile.TemporaryDirectory() as checkout:
        write_checkout(Path(checkout))
        for stack in ("test", "prod"):
            made[stack] = deploy(stack, Path(checkout), made, runbook_url="https://example.org/runbook.md")
    with chromium() as browser:
        for stack, deployment in made.items():
            page = folder / f"{stack}.html"
            page.write_text(picture(body_of(deployment)))
            opened = browser.new_page(viewport={"width": WIDTH, "height": 900})
            opened.goto(page.resolve().as_uri())
            opened.screenshot(path=folder / f"{stack}.png", full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
