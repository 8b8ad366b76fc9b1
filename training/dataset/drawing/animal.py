"""A drawn cat or dog. Only ears, muzzle and tail depend on which; all else is the same for both."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from training.dataset.drawing.pen import Colour, Pen, Point, curve

type Kind = Literal["cat", "dog"]
type Pose = Literal["walking", "sitting", "close"]

_COATS: tuple[Colour, ...] = (
    (40, 36, 34), (92, 62, 40), (150, 104, 62), (196, 146, 90), (222, 190, 146),
    (236, 228, 214), (128, 124, 122), (176, 92, 46), (86, 84, 92), (206, 200, 190),
)  # fmt: skip
_IRISES: tuple[Colour, ...] = ((226, 214, 120), (190, 220, 150), (236, 190, 110), (200, 222, 232))
_DARK: Colour = (24, 20, 20)


@dataclass(frozen=True, kw_only=True)
class Coat:
    """Colours and markings; both kinds wear all of them."""

    fur: Colour
    shade: Colour  # the far side, and hanging ears
    inner_ear: Colour
    iris: Colour
    marking: Colour
    markings: Literal["none", "stripes", "patches"]
    muzzle: Colour


@dataclass(frozen=True, kw_only=True)
class Build:
    """Proportions, drawn from the same ranges for both kinds."""

    head: float  # radius
    body: Point  # radii of the trunk
    legs: float  # length
    tilt: float  # of the head, degrees


def draw_animal(rng: np.random.Generator, kind: Kind, size: int) -> Image.Image:
    """Draw one animal on a transparent canvas of `size` × `size`: anywhere, near or far, facing either way."""
    pose: Pose = rng.choice(["walking", "sitting", "close"], p=[0.27, 0.34, 0.39])
    scale = rng.uniform(0.56, 0.76) if pose != "close" else rng.uniform(0.55, 0.95)
    room = 0.15 if pose != "close" else 0.19
    pen = Pen(
        size,
        scale=scale,
        turn=rng.uniform(-12, 12),
        mirror=bool(rng.random() < 0.5),
        centre=(0.5 + rng.uniform(-room, room), 0.52 + rng.uniform(-room, room)),
    )
    coat, build = _coat(rng), _build(rng)
    if pose == "walking":
        _walking(pen, rng, kind, coat, build)
    elif pose == "sitting":
        _sitting(pen, rng, kind, coat, build)
    else:
        _head_in_front(pen, rng, kind, coat, build, centre=(0.0, 0.0), radius=0.42)
    return pen.finish()


def _coat(rng: np.random.Generator) -> Coat:
    fur, marking = (_COATS[i] for i in rng.choice(len(_COATS), 2, replace=False))
    return Coat(
        fur=fur,
        shade=_mix(fur, (0, 0, 0), 0.4),
        inner_ear=_mix(fur, (255, 235, 225), 0.5),
        iris=_IRISES[rng.integers(len(_IRISES))],
        marking=_mix(fur, marking, 0.7),
        markings=rng.choice(["none", "stripes", "patches"]),
        muzzle=_mix(fur, marking if rng.random() < 0.5 else (240, 232, 220), rng.uniform(0.15, 0.6)),
    )


def _build(rng: np.random.Generator) -> Build:
    return Build(
        head=rng.uniform(0.25, 0.3),
        body=(rng.uniform(0.36, 0.46), rng.uniform(0.17, 0.24)),
        legs=rng.uniform(0.24, 0.38),
        tilt=rng.uniform(-12, 12),
    )


def _walking(pen: Pen, rng: np.random.Generator, kind: Kind, coat: Coat, build: Build) -> None:
    length, height = build.body
    _tail(pen, rng, kind, coat, root=(-length * 0.9, height * 0.4))
    for near in (False, True):
        for hip in (-length * 0.7, length * 0.62):
            step = hip + rng.uniform(-0.12, 0.12)
            foot = (step, -height * 0.5 - build.legs)
            pen.stroke([(hip, -height * 0.2), foot], [0.13, 0.085], coat.fur if near else coat.shade)
    pen.ellipse((0, 0), build.body, coat.fur)
    _mark(pen, rng, coat, centre=(0, 0), radii=build.body)
    head = (length * 0.95, height * 0.9 + rng.uniform(-0.05, 0.14))
    pen.stroke([(length * 0.7, 0.05), head], [height * 1.4, build.head * 1.3], coat.fur)
    if rng.random() < 0.6:
        _head_from_side(pen, rng, kind, coat, build, centre=head)
    else:
        _head_in_front(pen, rng, kind, coat, build, centre=head, radius=build.head)


def _sitting(pen: Pen, rng: np.random.Generator, kind: Kind, coat: Coat, build: Build) -> None:
    width, height = build.body[1] * 1.25, build.body[0] * 0.95
    _tail(pen, rng, kind, coat, root=(-width * 0.8, -height * 0.75))
    pen.ellipse((0, -0.12), (width, height), coat.fur)
    _mark(pen, rng, coat, centre=(0, -0.12), radii=(width, height))
    for side in (-1, 1):
        pen.ellipse((side * width * 0.75, -height * 0.85), (width * 0.55, 0.12), coat.shade)
        pen.stroke([(side * 0.09, -0.1), (side * 0.1, -height - 0.1)], [0.12, 0.1], coat.fur)
    _head_in_front(pen, rng, kind, coat, build, centre=(rng.uniform(-0.05, 0.05), height * 0.85), radius=build.head)


def _tail(pen: Pen, rng: np.random.Generator, kind: Kind, coat: Coat, *, root: Point) -> None:
    """Draw a tail: long, thin and curved for a cat, shorter, thick and tapered for a dog."""
    x, y = root
    if kind == "cat":
        end = (x - rng.uniform(0.15, 0.4), y + rng.uniform(0.1, 0.5))
        points = curve(root, (x - rng.uniform(0.25, 0.5), y - rng.uniform(-0.1, 0.25)), end)
        pen.stroke(points, list(np.linspace(0.075, 0.06, len(points))), coat.fur)
    else:
        end = (x - rng.uniform(0.12, 0.3), y + rng.uniform(0.0, 0.28))
        points = curve(root, (x - rng.uniform(0.1, 0.2), y + rng.uniform(-0.05, 0.1)), end)
        pen.stroke(points, list(np.linspace(0.13, 0.04, len(points))), coat.fur)


def _head_in_front(
    pen: Pen, rng: np.random.Generator, kind: Kind, coat: Coat, build: Build, *, centre: Point, radius: float
) -> None:
    def at(x: float, y: float) -> Point:
        angle = np.radians(build.tilt)
        return (
            centre[0] + radius * (x * np.cos(angle) - y * np.sin(angle)),
            centre[1] + radius * (x * np.sin(angle) + y * np.cos(angle)),
        )

    spread, reach = rng.uniform(0.85, 1.1), rng.uniform(0.85, 1.15)
    if kind == "cat":
        for side in (-1, 1):
            _pointed_ear(pen, coat, [at(side * x * spread, y * reach) for x, y in _POINTED])
    pen.ellipse(centre, (radius, radius * rng.uniform(0.86, 1.0)), coat.fur, turn=build.tilt)
    if coat.markings == "patches" and rng.random() < 0.5:
        pen.ellipse(at(rng.choice([-0.4, 0.4]), 0.3), (radius * 0.42, radius * 0.45), coat.marking)
    if kind == "dog":
        hang = rng.uniform(8, 26)
        for side in (-1, 1):
            ear = at(side * 0.92 * spread, 0.02)
            pen.ellipse(ear, (radius * 0.3, radius * 0.68 * reach), coat.shade, turn=build.tilt + side * hang)
    for side in (-1, 1):
        _eye(pen, kind, coat, at(side * 0.4, 0.2), radius)
    muzzle = (0.3, 0.24) if kind == "cat" else (0.42, 0.48)
    low = -0.36 if kind == "cat" else -0.5
    pen.ellipse(at(0, low), (radius * muzzle[0], radius * muzzle[1]), coat.muzzle, turn=build.tilt)
    nose = radius * (0.09 if kind == "cat" else 0.17)
    pen.ellipse(at(0, low + muzzle[1] * 0.5), (nose * 1.2, nose), _DARK, turn=build.tilt)


def _head_from_side(pen: Pen, rng: np.random.Generator, kind: Kind, coat: Coat, build: Build, *, centre: Point) -> None:
    radius = build.head
    x, y = centre
    reach = rng.uniform(0.85, 1.15)
    if kind == "cat":
        for shift in (-0.35, 0.3):
            ear = [(x + radius * (shift + a * 0.8), y + radius * b * reach) for a, b in _EAR_FROM_SIDE]
            _pointed_ear(pen, coat, ear)
    pen.ellipse(centre, (radius, radius * 0.92), coat.fur)
    length, depth, drop = (0.3, 0.3, -0.3) if kind == "cat" else (0.62, 0.32, -0.22)
    pen.ellipse((x + radius * (0.75 + length / 3), y + radius * drop), (radius * length, radius * depth), coat.muzzle)
    tip = (x + radius * (0.75 + length * 1.2), y + radius * (drop + 0.12))
    nose = radius * (0.1 if kind == "cat" else 0.17)
    pen.ellipse(tip, (nose, nose), _DARK)
    if kind == "dog":
        lean = rng.uniform(-20, 12)
        pen.ellipse(
            (x - radius * 0.25, y - radius * 0.05), (radius * 0.34, radius * 0.72 * reach), coat.shade, turn=lean
        )
    _eye(pen, kind, coat, (x + radius * 0.42, y + radius * 0.25), radius)


_POINTED: tuple[Point, ...] = ((0.12, 0.8), (0.78, 1.55), (0.98, 0.3))
_EAR_FROM_SIDE: tuple[Point, ...] = ((-0.4, 0.6), (0.05, 1.6), (0.45, 0.6))


def _eye(pen: Pen, kind: Kind, coat: Coat, centre: Point, radius: float) -> None:
    """Draw a cat with a light iris with a slit, a dog with a dark eye with a glint."""
    if kind == "cat":
        pen.ellipse(centre, (radius * 0.21, radius * 0.19), coat.iris)
        pen.ellipse(centre, (radius * 0.06, radius * 0.17), _DARK)
    else:
        pen.ellipse(centre, (radius * 0.15, radius * 0.15), _DARK)
        pen.ellipse((centre[0] + radius * 0.05, centre[1] + radius * 0.05), (radius * 0.04, radius * 0.04), coat.iris)


def _pointed_ear(pen: Pen, coat: Coat, corners: list[Point]) -> None:
    pen.polygon(corners, coat.fur)
    middle = np.mean(corners, axis=0)
    inner = middle + (np.array(corners) - middle) * 0.55
    pen.polygon(inner, coat.inner_ear)


def _mark(pen: Pen, rng: np.random.Generator, coat: Coat, *, centre: Point, radii: Point) -> None:
    if coat.markings == "patches":
        for _ in range(rng.integers(2, 5)):
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.55)
            spot = (
                centre[0] + radii[0] * distance * np.cos(angle),
                centre[1] + radii[1] * distance * np.sin(angle),
            )
            pen.ellipse(spot, (radii[0] * 0.26, radii[1] * 0.3), coat.marking, turn=rng.uniform(0, 90))
    elif coat.markings == "stripes":
        for place in np.linspace(-0.65, 0.65, int(rng.integers(4, 7))):
            spot = (centre[0] + radii[0] * place, centre[1] + radii[1] * 0.2)
            pen.ellipse(spot, (radii[0] * 0.05, radii[1] * 0.6 * (1 - abs(place) * 0.5)), coat.marking)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return (red, green, blue)
