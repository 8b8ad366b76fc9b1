"""Relevance: photos that teach little, for they show little, or are like no others."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.manifest import Photo
from training.quality.characteristics.appearance import Appearance
from training.quality.characteristics.similarity import strangeness, strangers
from training.quality.characteristics.texture import LEAST, oddness
from training.quality.findings import Characteristic, Concern, Finding, Name, Table, finding, share

_STRANGEST: Final = 12

type Numbers = npt.NDArray[np.float32]

BLURRED: Final = 0.0005  # sharpness below it (`imaging.measures`)
DARK: Final = 0.08  # mean luma below it
OVEREXPOSED: Final = 0.9  # mean luma above it
TINY: Final = 64  # pixels of the shorter side below it
GREY: Final = 0.01  # colour (`Appearance`) below it


def relevance(
    photos: Sequence[Photo],
    *,
    appearance: Appearance | None = None,
    embeddings: Numbers | None = None,
) -> Characteristic:
    """Find photos that show little, or are like no others.

    `appearance` tells grey ones and what is built like no photo, `embeddings` [N, d] what shows something else.
    """
    measures: dict[str, float] = {}
    found: list[Finding] = []
    unclear: set[str] = set()
    shares: list[tuple[str, int, str]] = []

    def add_finding(name: str, title: str, says: str, concerns: list[Concern]) -> None:
        found.extend(finding(name, title, says, concerns))
        shares.append((title.lower(), len(concerns), f"{share(len(concerns), len(photos)):.1%}"))

    for name, title, measure, wanted, says in _UNCLEAR:
        these = sorted((photo for photo in photos if wanted(photo)), key=measure)
        concerns = [_concern(photo, f"{says} {abs(measure(photo)):.4g}") for photo in these]
        add_finding(name, title, "Exclude photos that nobody could label; check a camera with many of them.", concerns)
        unclear.update(photo.sha256 for photo in these)
    measures["unclear"] = share(len(unclear), len(photos))
    if appearance is not None:
        grey = np.flatnonzero(appearance.colour < GREY)
        these = [_concern(photos[n], "without colour") for n in map(int, grey)]
        add_finding(
            "greyscale", "Without colour", "Nights by infra-red are like this. Both classes should have them.", these
        )
        measures["greyscale"] = share(len(these), len(photos))
    unlike = None if appearance is None or len(photos) < LEAST else _odd(photos, appearance)
    if embeddings is not None:
        distances = strangeness(embeddings)
        known = {concern.sha256 for concern in unlike or []}
        unlike = [*(unlike or []), *_far(photos, distances, known=known)]
        if not unlike:  # the strangest are worth a look all the same
            found += _strangest(photos, distances)
    if unlike is not None:
        says = "A broken camera, another place, or a valuable rare case: look at them."
        add_finding("unlike", "Unlike all others", says, unlike)
        measures["unlike"] = share(len(unlike), len(photos))
    return Characteristic(
        name=Name.RELEVANCE,
        summary=", ".join(f"{count:,} {title}" for title, count, _ in shares) + f" of {len(photos):,} photos.",
        measures=measures,
        findings=tuple(found),
        tables=(Table(caption="Photos that show little", columns=("what", "photos", "share"), rows=tuple(shares)),),
    )


_UNCLEAR: Final[tuple[tuple[str, str, Callable[[Photo], float], Callable[[Photo], bool], str], ...]] = (
    ("blurred", "Blurred", lambda photo: photo.sharpness, lambda photo: photo.sharpness < BLURRED, "sharpness"),
    ("dark", "Dark", lambda photo: photo.brightness, lambda photo: photo.brightness < DARK, "brightness"),
    (
        "overexposed",
        "Overexposed",
        lambda photo: -photo.brightness,
        lambda photo: photo.brightness > OVEREXPOSED,
        "brightness",
    ),
    (
        "tiny",
        "Tiny",
        lambda photo: min(photo.width, photo.height),
        lambda photo: min(photo.width, photo.height) < TINY,
        "pixels of its shorter side:",
    ),
)
"""Finding, title, measure (lowest first), which photos, how the measure is called."""


def _odd(photos: Sequence[Photo], appearance: Appearance) -> list[Concern]:
    distances = oddness(appearance.texture)
    usual = np.median(distances)
    return [
        _concern(photos[n], f"built like no other: distance {distances[n]:.1f}; usual {usual:.1f}")
        for n in strangers(distances)
    ]


def _far(photos: Sequence[Photo], distances: Numbers, *, known: set[str]) -> list[Concern]:
    return [_distance(photos[n], distances, n) for n in strangers(distances) if photos[n].sha256 not in known]


def _strangest(photos: Sequence[Photo], distances: Numbers) -> Sequence[Finding]:
    order = np.argsort(-distances, kind="stable")[:_STRANGEST]
    return finding(
        "strangest",
        "Least like the others",
        "None is far from all others; these are farthest.",
        [_distance(photos[n], distances, n) for n in order],
    )


def _distance(photo: Photo, distances: Numbers, place: np.intp) -> Concern:
    return _concern(photo, f"distance {distances[place]:.2f}; usual {np.median(distances):.2f}")


def _concern(photo: Photo, why: str) -> Concern:
    return Concern(key=photo.key, sha256=photo.sha256, label=photo.label, why=why)
