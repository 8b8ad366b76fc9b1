"""What `benchmarks/accuracy.py` claims of networks that know ImageNet: each function measures one claim."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from benchmarks.support.claims import Claim, from_scratch, reference, run_recipe
from benchmarks.support.frozen import Embedded, Resize, embed, few, imagenet_answers, left_out
from benchmarks.support.our_training import Lake
from benchmarks.support.trials import Outcome, Repeated, Trials
from training.hyper_parameters import FOR_FEW_PHOTOS, FOR_TRANSFER, HyperParameters
from training.pretrained import PACKAGED

NETWORK: Final = FOR_TRANSFER.architecture
FINE_TUNED: Final = replace(
    FOR_TRANSFER, frozen=0, views=1, epochs=4, learning_rate=0.0003, layer_decay=0.8, weight_decay=0.01
)
WITH: Final[Mapping[str, dict[str, Any]]] = {
    "one rate for all layers": {"layer_decay": 1.0},
    "no averaged weights": {"ema_decay": 0.0},
    "mix-up": {"mixup": 0.2},
    "mirror images in answers": {"flips": 1},
}
"""What is changed in fine-tuning, one thing at a time."""

DRAWS: Final = 10
PHOTOS_EACH: Final = (3, 5, 10, 20, 50, 100, 200, 500)
SIZES: Final = (160, 192, 224, 256, 288)
TEST_PROMISE, UNSEEN_PROMISE, MINUTES = 0.985, 0.975, 3.0


def pretrained(trials: Trials, lakes: Sequence[Lake]) -> Claim:
    """A linear layer on ImageNet's features, fine-tuning, from scratch, and torchvision's recipe."""
    weights = _weights_file(trials)
    tuned = [
        run_recipe(trials, "pretrained", "fine-tuned", lake, FINE_TUNED, seed, weights)
        for seed, lake in enumerate(lakes)
    ]
    linear = [
        run_recipe(trials, "pretrained", "linear layer", lake, FOR_TRANSFER, seed, weights)
        for seed, lake in enumerate(lakes)
    ]
    scratch = [from_scratch(trials, "real", lake, FOR_FEW_PHOTOS, seed) for seed, lake in enumerate(lakes)]
    theirs = [reference(trials, lake, seed, outcome.cpu_seconds) for (seed, lake), outcome in _each(lakes, linear)]
    parts = {
        "linear layer on frozen features": linear,
        "fine-tuned, layer-wise rates": tuned,
        "from scratch, few-photos": scratch,
        "torchvision's recipe, with the linear layer's processor time": theirs,
    }
    ours = Repeated.of([outcome.balanced for outcome in linear])
    gain = Repeated.of([t.balanced - o.balanced for t, o in zip(tuned, linear, strict=True)])
    rows = [(name, *_figures(outcomes)) for name, outcomes in parts.items()]
    return Claim(
        title=f"Real photos, {NETWORK} at {FOR_TRANSFER.image_size} px: balanced accuracy on the test split",
        columns=("", "balanced accuracy", "least", "CPU minutes"),
        rows=(*rows, ("fine-tuned less linear, pair by pair", str(gain), "", "")),
        promises={
            f"mean at least {TEST_PROMISE:.1%}": ours.mean >= TEST_PROMISE,
            f"within {MINUTES:g} minutes of two cores": max(o.cpu_seconds for o in linear) <= 2 * 60 * MINUTES,
            "the recipe is what is best: fine-tuning gains nothing beyond its interval": gain.low <= 0,
        },
    )


def tuning(trials: Trials, lakes: Sequence[Lake]) -> Claim:
    """Fine-tuning with one thing changed."""
    weights = _weights_file(trials)

    def balanced(who: str, parameters: HyperParameters) -> list[float]:
        return [
            run_recipe(trials, "pretrained", who, lake, parameters, seed, weights).balanced
            for seed, lake in enumerate(lakes)
        ]

    whole = balanced("fine-tuned", FINE_TUNED)
    rows = [("as it is", str(Repeated.of(whole)), "")]
    for name, changes in WITH.items():
        changed = balanced(f"fine-tuned with {name}", replace(FINE_TUNED, **changes))
        gain = Repeated.of([c - w for c, w in zip(changed, whole, strict=True)])
        rows.append((name, str(Repeated.of(changed)), f"{gain.mean:+.3f} ± {gain.half:.3f}"))
    return Claim(
        title=f"Fine-tuning of {NETWORK}, {FINE_TUNED.epochs} epochs: balanced accuracy on the test split",
        columns=("changed", "balanced accuracy", "difference, pair by pair"),
        rows=tuple(rows),
        promises={},
    )


def unseen(trials: Trials, lake: Lake, groups: Mapping[str, str]) -> Claim:
    """Groups that training never saw, by each network."""
    rows: list[tuple[str, ...]] = []
    found: dict[str, Repeated] = {}
    for network in PACKAGED:
        embedded = _embedded(trials, lake, groups, network, FOR_TRANSFER.image_size)
        draws = [left_out(embedded, seed) for seed in range(DRAWS)]
        ours = [embedded.balanced(learn, test, seed) for seed, (learn, test) in enumerate(draws)]
        answers = imagenet_answers(embedded, network) if set(embedded.labels) == {"cat", "dog"} else None
        own = "" if answers is None else f"{statistics.mean(embedded.recall(answers[t], t) for _, t in draws):.3f}"
        found[network] = Repeated.of(ours)
        rows.append((network, str(found[network]), f"{min(ours):.3f}", own))
    return Claim(
        title=f"Breeds that training never saw, {DRAWS} draws: balanced accuracy at {FOR_TRANSFER.image_size} px",
        columns=("linear layer on", "left-out breeds", "least", "ImageNet's own classes, untrained"),
        rows=tuple(rows),
        promises={f"{NETWORK}: mean at least {UNSEEN_PROMISE:.1%}": found[NETWORK].mean >= UNSEEN_PROMISE},
    )


def curve(trials: Trials, lake: Lake, groups: Mapping[str, str]) -> Claim:
    """How many photos a class are needed: a part of the photos to learn from, all those of the left-out breeds."""
    embedded = _embedded(trials, lake, groups, NETWORK, FOR_TRANSFER.image_size)
    draws = [left_out(embedded, seed) for seed in range(DRAWS)]
    rows: list[tuple[str, ...]] = []
    for each in PHOTOS_EACH:
        found = [
            embedded.balanced(few(embedded, learn, each, seed), test, seed) for seed, (learn, test) in enumerate(draws)
        ]
        rows.append((str(each), str(Repeated.of(found)), f"{min(found):.3f}"))
    return Claim(
        title=f"How many photos a class? {NETWORK}, breeds that training never saw, {DRAWS} draws",
        columns=("photos a class", "balanced accuracy", "least"),
        rows=tuple(rows),
        promises={},
    )


def inputs(trials: Trials, lake: Lake, groups: Mapping[str, str]) -> Claim:
    """The photo as the network gets it: its size, how it is resized, and whether its edges are cut off."""
    usual = FOR_TRANSFER.image_size
    ways: dict[str, tuple[int, Resize | None]] = {f"ours, {size} px": (size, None) for size in SIZES}
    ways |= {
        f"bicubic, {usual} px": (usual, _bicubic),
        f"bicubic, {usual} px, the middle 87.5 %": (usual, _middle),
    }
    rows: list[tuple[str, ...]] = []
    for name, (size, resize) in ways.items():
        embedded = _embedded(trials, lake, groups, NETWORK, size, name if resize else "", resize)
        inside = Repeated.of([embedded.balanced(*_fifth(embedded, seed), seed) for seed in range(DRAWS)])
        outside = Repeated.of([embedded.balanced(*left_out(embedded, seed), seed) for seed in range(DRAWS)])
        rows.append((name, str(inside), str(outside), f"{(size / usual) ** 2:.2f}"))
    return Claim(
        title=f"What {NETWORK} gets: balanced accuracy of a linear layer, {DRAWS} draws",
        columns=("photo", "a fifth left out", "left-out breeds", f"arithmetic, of {usual} px"),
        rows=tuple(rows),
        promises={},
    )


def _embedded(
    trials: Trials,
    lake: Lake,
    groups: Mapping[str, str],
    network: str,
    size: int,
    name: str = "",
    resize: Resize | None = None,
) -> Embedded:
    kind = "".join(letter for letter in name if letter.isalnum())
    path = trials.directory / f"embedded-{lake.dataset[:12]}-{network}-{size}{kind}.pt"
    return embed(lake, network, size, path, groups=groups, resize=resize)


def _weights_file(trials: Trials) -> Path:
    """ImageNet's weights as a file, as `petpark train --weights` takes one."""
    from training.pretrained import read_packaged

    path = trials.directory / f"{NETWORK}.pth"
    if not path.exists():
        path.write_bytes(read_packaged(PACKAGED[NETWORK]) or b"")
    return path


def _fifth(embedded: Embedded, seed: int) -> tuple[Any, Any]:
    order = np.random.default_rng(seed).permutation(len(embedded.targets))
    cut = len(order) // 5
    return order[cut:], order[:cut]


def _each(lakes: Sequence[Lake], outcomes: Sequence[Outcome]) -> list[tuple[tuple[int, Lake], Outcome]]:
    return list(zip(enumerate(lakes), outcomes, strict=True))


def _figures(outcomes: Sequence[Outcome]) -> tuple[str, str, str]:
    values = [outcome.balanced for outcome in outcomes]
    minutes = statistics.mean(outcome.cpu_seconds for outcome in outcomes) / 60
    return str(Repeated.of(values)), f"{min(values):.3f}", f"{minutes:.1f}"


def _bicubic(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BICUBIC)


def _middle(image: Image.Image, size: int) -> Image.Image:
    """As these weights were evaluated: larger, then the middle of it."""
    larger = round(size / 0.875)
    edge = (larger - size) // 2
    return _bicubic(image, larger).crop((edge, edge, edge + size, edge + size))
