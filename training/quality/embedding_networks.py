"""What a network that was trained before makes of photos: embeddings, and by linear layers on these their labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from registry.store.object_store import ObjectStore
from training.dataset.manifest import Photo
from training.fitting.pixels import stream_pixels
from training.networks.embedding import BATCH, Embedder
from training.networks.export import ExportedModel
from training.networks.head import learn_head
from training.networks.model import build_model, load_initial_weights, read_weights
from training.networks.pretrained import PACKAGED, read_packaged
from training.quality.cross_validation import FOLDS
from training.quality.folds import folds_of

type Numbers = npt.NDArray[np.float32]

NETWORK: Final = "efficientnet_lite0"
SIZE: Final = 224

PENALTY: Final = 0.1
"""Of the layers that judge labels: strong, so that wrong ones are not learned by heart. `data.md` has the evidence."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingNetwork:
    """A network whose embeddings are compared, instead of those of small networks trained for the report."""

    name: str
    size: int  # side of the photos that it sees, in pixels
    embed: Callable[[Tensor], Numbers]  # uint8 [N, size, size, 3] to [N, D]
    impartial: bool = False  # it was not trained on these labels, so layers on its embeddings may check them


def published(name: str, model: ExportedModel) -> EmbeddingNetwork:
    """A version. It may have been trained on these labels, so it does not check them."""
    return EmbeddingNetwork(name=name, size=model.size, embed=lambda pixels: model.explain(pixels.numpy()).embedding)


def of_imagenet() -> EmbeddingNetwork | None:
    """The network that learned ImageNet, where its package is installed; WeightsRefused if that is broken."""
    packaged = PACKAGED[NETWORK]
    data = read_packaged(packaged)
    if data is None:
        return None
    model = build_model(NETWORK, 2).eval()
    load_initial_weights(model, read_weights(data))
    embedder = Embedder(model, SIZE, torch.device("cpu"))
    return EmbeddingNetwork(
        name=f"{NETWORK} trained on ImageNet",
        size=SIZE,
        embed=lambda pixels: embedder.embed(pixels).float().numpy(),
        impartial=True,
    )


def embed_photos(
    lake: ObjectStore, photos: Sequence[Photo], network: EmbeddingNetwork, progress: Callable[[int, int], None]
) -> Numbers:
    """Embed photos, [N, D]; their pixels are not kept. PhotoLost."""
    parts: list[Numbers] = []
    for pixels in stream_pixels(lake, photos, network.size, batch=BATCH, check=lambda: None):
        parts.append(network.embed(pixels))
        progress(sum(map(len, parts)), len(photos))
    return np.concatenate(parts)


def judge_labels(
    embeddings: Numbers,
    targets: npt.NDArray[np.int64],
    photos: Sequence[Photo],
    *,
    classes: int,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Numbers:
    """Returns each photo's probabilities [N, classes] by a layer that was learned from other folds."""
    folds = folds_of(photos, FOLDS)
    rows, truth = torch.from_numpy(embeddings), torch.from_numpy(targets)
    probabilities = np.zeros((len(photos), classes), dtype=np.float32)
    for fold in range(FOLDS):
        inside = torch.from_numpy(folds == fold)
        head = learn_head(rows[~inside], truth[~inside], classes, penalty=PENALTY)
        probabilities[inside.numpy()] = head.logits(rows[inside]).softmax(dim=1).numpy()
        progress(fold + 1, FOLDS)
    return probabilities
