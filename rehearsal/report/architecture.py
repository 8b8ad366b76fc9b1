"""A stack as a picture: its components as boxes in layers, arrows from what is needed to what needs it.

Pure: the resources that an engine reports go in, SVG comes out, the same for the same resources.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from xml.sax.saxutils import escape

from rehearsal.report.graph_layout import arrange, without_detours

COMPONENT = "petpark:infra:"
_BOOKKEEPING = "pulumi:"
_OUTSIDE = "the stack itself"

_WIDTH, _GAP_X, _GAP_Y, _MARGIN = 242, 56, 22, 14
_HEAD, _LINE, _PAD, _INDENT, _PASS = 28, 17, 13, 60, 10
_LINES = 12
"""Kinds of resource that a box lists by name before it only counts."""

_SERVICES = {
    "acm": "ACM",
    "autoscaling": "Scaling",
    "cloudwatch": "Watch",
    "dynamodb": "Dynamo",
    "ec2": "EC2",
    "iam": "IAM",
    "kms": "KMS",
    "lb": "ELB",
    "route53": "DNS",
    "s3": "S3",
    "sfn": "Steps",
    "sns": "SNS",
    "sqs": "SQS",
    "ssm": "SSM",
    "vpc": "VPC",
}
_ACRONYMS = {"Vpc": "VPC", "Iam": "IAM", "Kms": "KMS", "Sns": "SNS", "Sqs": "SQS"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_STORAGE = ("s3", "dynamodb", "kms")
_COMPUTE = ("ec2", "autoscaling", "lb", "sfn", "lambda")


class Resource(Protocol):
    """What the drawing needs to know of a deployed resource."""

    @property
    def urn(self) -> str:
        """Its name in the whole deployment."""
        ...

    @property
    def type(self) -> str:
        """Its type token, such as `aws:s3/bucket:Bucket`."""
        ...

    @property
    def name(self) -> str:
        """Its own name."""
        ...

    @property
    def parent(self) -> str | None:
        """URN of its parent."""
        ...

    @property
    def dependencies(self) -> Sequence[str]:
        """URNs of what it needs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Box:
    """One component: `kinds` are (service, resource, how many), sorted."""

    key: str
    title: str
    name: str
    kinds: tuple[tuple[str, str, int], ...]

    @property
    def count(self) -> int:
        """Resources in the component."""
        return sum(number for _, _, number in self.kinds)

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return _HEAD + _PAD + _LINE * (min(len(self.kinds), _LINES) + (len(self.kinds) > _LINES))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a box, or the point where an arrow passes a layer, is drawn."""

    x: float
    y: float
    height: float


def draw(resources: Iterable[Resource], *, title: str) -> str:
    """The stack as one SVG element, for a page or a separate file; `title` describes it."""
    boxes, needs = components(resources)
    order, chains = arrange(boxes, without_detours(needs))
    places = _place(order, boxes)
    width = _MARGIN * 2 + len(order) * _WIDTH + max(0, len(order) - 1) * _GAP_X
    height = _MARGIN * 2 + max((place.y + place.height for place in places.values()), default=0) - _MARGIN
    arrows = "".join(_arrow([places[stop] for stop in chain]) for chain in chains)
    drawn = "".join(_draw_box(box, places[key]) for key, box in sorted(boxes.items()))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="architecture" role="img" viewBox="0 0 {width} {height:g}"'
        f' width="{width}" height="{height:g}"><title>{escape(title)}</title><style>{_STYLE}</style>'
        '<defs><marker id="needs" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0.5 L7.5 4 L0 7.5 z" class="a-tip"/></marker></defs>{arrows}{drawn}</svg>'
    )


def components(resources: Iterable[Resource]) -> tuple[dict[str, Box], dict[str, set[str]]]:
    """Group resources by their outermost component; also, for every component, the components that it needs."""
    known = {resource.urn: resource for resource in resources if not resource.type.startswith(_BOOKKEEPING)}
    home = {urn: _home(urn, known) for urn in known}
    kinds: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter[tuple[str, str]])
    needs: dict[str, set[str]] = defaultdict(set[str])
    for urn in sorted(known):
        resource = known[urn]
        if counts(resource):
            kinds[home[urn]][_kind(resource.type)] += 1
        else:
            kinds[home[urn]].update()  # a component may hold nothing itself
        for dependency in resource.dependencies:
            if dependency in home and home[dependency] != home[urn]:
                needs[home[urn]].add(home[dependency])
    boxes = {key: _box(key, known.get(key), held) for key, held in kinds.items()}
    return boxes, {key: found for key, found in needs.items() if key in boxes}


def counts(resource: Resource) -> bool:
    """Whether `resource` is something that exists in the cloud: no component, and none of the engine's own records."""
    return not resource.type.startswith((COMPONENT, _BOOKKEEPING))


def _home(urn: str, known: Mapping[str, Resource]) -> str:
    home, at = _OUTSIDE, known.get(urn)
    while at is not None:
        home = at.urn if at.type.startswith(COMPONENT) else home
        at = known.get(at.parent or "")
    return home


def _box(key: str, component: Resource | None, held: Counter[tuple[str, str]]) -> Box:
    kinds = tuple((service, name, number) for (service, name), number in sorted(held.items()))
    if component is None:
        return Box(key=key, title="Stack", name=_OUTSIDE, kinds=kinds)
    return Box(key=key, title=_words(component.type.removeprefix(COMPONENT)), name=component.name, kinds=kinds)


def _kind(token: str) -> tuple[str, str]:
    """`aws:s3/bucketPolicy:BucketPolicy` -> `("s3", "Bucket policy")`."""
    _, _, rest = token.partition(":")
    service = rest.partition("/")[0].partition(":")[0]
    words = _words(re.sub(r"[Vv]\d+$", "", token.rpartition(":")[2])).removesuffix(" configuration")
    if service == "s3" and words.startswith("Bucket "):
        words = words.removeprefix("Bucket ").capitalize()  # the service's name next to it says the rest
    return service, words


def _words(name: str) -> str:
    found = (match.group() for match in _WORD.finditer(name))
    parts = [_ACRONYMS.get(part, part) for part in found]
    return " ".join(part if index == 0 or part.isupper() else part.lower() for index, part in enumerate(parts))


def _place(rows: Sequence[Sequence[str]], boxes: Mapping[str, Box]) -> dict[str, Place]:
    heights = [[boxes[key].height if key in boxes else _PASS for key in row] for row in rows]
    totals = [sum(row) + _GAP_Y * max(0, len(row) - 1) for row in heights]
    places: dict[str, Place] = {}
    for number, row in enumerate(rows):
        y = _MARGIN + (max(totals) - totals[number]) / 2
        for key, height in zip(row, heights[number], strict=True):
            places[key] = Place(x=_MARGIN + number * (_WIDTH + _GAP_X), y=y, height=height)
            y += height + _GAP_Y
    return places


def _arrow(stops: Sequence[Place]) -> str:
    """A smooth line from the right side of the first place to the left side of the last."""
    x, y = stops[0].x + _WIDTH, stops[0].y + stops[0].height / 2
    path = [f"M{x:g} {y:g}"]
    for stop in stops[1:]:
        to_y = stop.y + stop.height / 2
        middle = (x + stop.x) / 2
        path.append(f"C{middle:g} {y:g} {middle:g} {to_y:g} {stop.x:g} {to_y:g}")
        x, y = stop.x, to_y
        if stop is not stops[-1]:
            x += _WIDTH
            path.append(f"L{x:g} {y:g}")
    return f'<path class="a-arrow" marker-end="url(#needs)" d="{" ".join(path)}"/>'


def _draw_box(box: Box, place: Place) -> str:
    listed, rest = box.kinds[:_LINES], box.kinds[_LINES:]
    lines = [_line(row, service, name, many) for row, (service, name, many) in enumerate(listed)]
    if rest:
        lines.append(
            _text(_INDENT, _HEAD + _LINE * (_LINES + 1), f"and {sum(many for _, _, many in rest)} more", "a-soft")
        )
    is_named = any(part in box.title.lower() for part in (box.name.replace("-", " "), box.name.removesuffix("s")))
    beside = "" if is_named else f'<tspan class="a-soft" dx="7">{escape(box.name)}</tspan>'
    return (
        f'<g transform="translate({place.x:g} {place.y:g})" class="a-{_character(box)}">'
        f'<rect class="a-box" width="{_WIDTH}" height="{box.height}" rx="6"/>'
        f'<rect class="a-edge" width="4" height="{box.height}" rx="2"/>'
        f'<text x="{_PAD}" y="22" class="a-title">{escape(box.title)}{beside}</text>'
        f"{_text(_WIDTH - _PAD, 22, str(box.count), 'a-soft a-count')}{''.join(lines)}</g>"
    )


def _line(row: int, service: str, name: str, many: int) -> str:
    y = _HEAD + _LINE * (row + 1)
    return (
        _text(_PAD, y, _SERVICES.get(service, service.title()), "a-soft")
        + _text(_INDENT, y, name, "a-kind")
        + (_text(_WIDTH - _PAD, y, f"× {many}", "a-soft a-count") if many > 1 else "")
    )


def _text(x: int, y: int, words: str, style: str) -> str:
    return f'<text x="{x}" y="{y}" class="{style}">{escape(words)}</text>'


def _character(box: Box) -> str:
    """What most of its resources are: the colour of the box's edge."""
    weights = Counter[str]()
    for service, _, number in box.kinds:
        weights["storage" if service in _STORAGE else "compute" if service in _COMPUTE else "other"] += number
    return max(sorted(weights), key=lambda kind: weights[kind], default="other")


_STYLE = """
.architecture{font-family:ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif}
.architecture{--a-ink:#1d2228;--a-soft:#68707a;--a-paper:#fff;--a-line:#cfd4da}
@media (prefers-color-scheme:dark){.architecture{--a-ink:#e6e8ea;--a-soft:#9aa2ab;--a-paper:#1d2126;--a-line:#414850}}
.a-box{fill:var(--a-paper);stroke:var(--a-line)}
.a-edge{fill:#8a929b}.a-storage .a-edge{fill:#3f7d5a}.a-compute .a-edge{fill:#3a6ea5}
.a-title{font-size:14px;font-weight:600;fill:var(--a-ink)}
.a-soft{font-size:11px;font-weight:400;fill:var(--a-soft)}.a-count{text-anchor:end;font-variant-numeric:tabular-nums}
.a-kind{font-size:12px;fill:var(--a-ink)}
.a-arrow{fill:none;stroke:var(--a-soft);stroke-width:1.3;opacity:.75}.a-tip{fill:var(--a-soft)}
"""
