"""Embeddings of a folder of photos by a frozen network, and the accuracy of linear layers on them."""

import csv
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from benchmarks.support.accuracy.our_training import Lake
from training.dataset.manifest import Manifest, Split
from training.fitting.pixels import fetch
from training.networks.embedding import BATCH, Embedder
from training.networks.head import Head, choose_head
from training.networks.model import build_model, load_initial_weights
from training.networks.pretrained import PACKAGED, read_packaged

CATS, DOGS = range(281, 286), range(151, 269)
"""Classes of ImageNet (ILSVRC 2012): five of domestic cats, 118 of dog breeds."""

_VALIDATE: Final = 0.2  # of the photos to learn from: they choose the layer's penalty

type Indices = npt.NDArray[np.intp]
type Resize = Callable[[Image.Image, int], Image.Image]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Places of photos: to learn from, to choose the layer's penalty by, to test on."""

    learn: Indices
    held: Indices
    test: Indices

    @classmethod
    def of_split(cls, manifest: Manifest) -> Self:
        """As a job has them."""
        splits = np.array([photo.split for photo in manifest.photos])
        learn, held, test = (np.flatnonzero(splits == part) for part in (Split.TRAIN, Split.VALIDATION, Split.TEST))
        return cls(learn=learn, held=held, test=test)

    @classmethod
    def halved(cls, among: Indices, test: Indices, seed: int) -> Self:
        """A fifth of `among`, drawn by `seed`, chooses the penalty."""
        order = np.random.default_rng(seed).permutation(among)
        cut = round(len(order) * _VALIDATE)
        return cls(learn=order[cut:], held=order[:cut], test=test)


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What one network sees of N photos."""

    plain: Tensor  # float16 [N, D]
    mirrored: Tensor  # float16 [N, D]
    targets: Tensor  # int64 [N]
    groups: npt.NDArray[np.str_]  # [N]; empty where the index has no such column
    labels: tuple[str, ...]

    def balanced(self, learn: Indices, test: Indices, seed: int) -> float:
        """Balanced accuracy on `test` of a layer learned from `learn`, a fifth of which chooses its penalty."""
        head = self.fit(Parts.halved(learn, test, seed))
        return self.recall(head.logits(self.plain[torch.from_numpy(test)].float()), test)

    def fit(self, parts: Parts) -> Head:
        """Fit the layer as a job does: to photos and their mirror images, its penalty chosen on held-out photos."""
        known, other = torch.from_numpy(parts.learn), torch.from_numpy(parts.held)
        return choose_head(
            torch.cat([self.plain[known], self.mirrored[known]]).float(),
            self.targets[known].repeat(2),
            self.plain[other].float(),
            self.targets[other],
            len(self.labels),
        ).head

    def recall(self, logits: Tensor, test: Indices) -> float:
        """Returns the mean recall of `logits`."""
        truth = self.targets[torch.from_numpy(test)]
        right = (logits.argmax(dim=1) == truth).double()
        return float(np.mean([right[truth == each].mean() for each in truth.unique()]))


def embed(
    lake: Lake, network: str, size: int, cache: Path, *, groups: Mapping[str, str], resize: Resize | None = None
) -> Embedded:
    """Embed all photos of `lake` once; `cache` stores them. `groups` by key; `resize` replaces our own decoding."""
    manifest = lake.manifest
    photos = manifest.photos
    if cache.exists():
        stored = torch.load(cache, weights_only=True)
        plain, mirrored = stored["plain"], stored["mirrored"]
    else:
        embedder = Embedder(frozen(network, len(manifest.labels)), size, torch.device("cpu"))
        parts: list[Tensor] = []
        for begin in range(0, len(photos), BATCH):
            chunk = photos[begin : begin + BATCH]
            pixels = (
                lake.pixels(chunk, size).pixels
                if resize is None
                else torch.from_numpy(np.stack([_resized(fetch(lake.store, each), size, resize) for each in chunk]))
            )
            parts.append(torch.stack([embedder.embed(pixels), embedder.embed(pixels.flip(2).contiguous())]))
        plain, mirrored = torch.cat(parts, dim=1)
        with tempfile.NamedTemporaryFile(dir=cache.parent, delete=False) as file:
            torch.save({"plain": plain.clone(), "mirrored": mirrored.clone()}, file)
        Path(file.name).replace(cache)
    return Embedded(
        plain=plain,
        mirrored=mirrored,
        targets=torch.tensor([manifest.labels.index(photo.label) for photo in photos]),
        groups=np.array([groups.get(photo.key, "") for photo in photos]),
        labels=manifest.labels,
    )


def read_groups(index: Path, column: str = "breed") -> dict[str, str]:
    """Which group each photo belongs to, by its path below the folder; columns `key` (or `file`) and `column`."""
    with index.open(newline="") as file:
        return {row.get("key") or row["file"]: row[column] for row in csv.DictReader(file)}


def weights_of(network: str) -> dict[str, Any]:
    """ImageNet's weights from the installed package, as they are in its file."""
    data = read_packaged(PACKAGED[network])
    if data is None:
        raise SystemExit(f"{PACKAGED[network].package} is not installed: make setup")
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def frozen(network: str, classes: int) -> Any:
    """The network with ImageNet's weights, and a linear layer that has learned nothing."""
    model = build_model(network, classes).eval()
    load_initial_weights(model, weights_of(network))
    return model


def imagenet_answers(embedded: Embedded, network: str) -> Tensor:
    """What ImageNet's own classes say without any training: the more probable of all cats and all dogs."""
    weight, bias = list(weights_of(network).values())[-2:]
    chances = (embedded.plain.float() @ weight.T + bias).softmax(dim=1)
    of = {"cat": chances[:, CATS].sum(dim=1), "dog": chances[:, DOGS].sum(dim=1)}
    return torch.stack([of[label] for label in embedded.labels], dim=1)


def left_out(embedded: Embedded, seed: int, share: float = 0.15) -> tuple[Indices, Indices]:
    """Photos to learn from, and all photos of some groups of each class, drawn by `seed`, that are left out."""
    draws = np.random.default_rng(seed)
    chosen: list[str] = []
    for target in range(len(embedded.labels)):
        groups = np.unique(embedded.groups[embedded.targets.numpy() == target])
        chosen += list(draws.permutation(groups)[: max(1, round(share * len(groups)))])
    outside = np.isin(embedded.groups, chosen)
    return np.flatnonzero(~outside), np.flatnonzero(outside)


def few(embedded: Embedded, among: Indices, each: int, seed: int) -> Indices:
    """`each` photos of every class, drawn from `among`; all there are where there are fewer."""
    draws, truth = np.random.default_rng(seed), embedded.targets.numpy()
    parts: Sequence[Indices] = [
        draws.permutation(among[truth[among] == target])[:each] for target in range(len(embedded.labels))
    ]
    return np.concatenate(parts)


def _resized(data: bytes, size: int, resize: Resize) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(resize(image.convert("RGB"), size))
