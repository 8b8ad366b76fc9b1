"""The frozen network in eight bits compared with floats, under the same linear layers."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from benchmarks.support.accuracy.claims import Claim
from benchmarks.support.accuracy.fine_tuned import Tuning
from benchmarks.support.accuracy.frozen import Embedded, Parts, frozen
from benchmarks.support.accuracy.our_training import Lake
from benchmarks.support.accuracy.trials import Repeated, Trials
from training.dataset.manifest import Split
from training.jobs.version.quantise import LEAST_AGREEMENT, MOST_POINTS_LOST, quantise
from training.networks.export import ExportedModel, export_onnx

_RANGES_FROM: Final = 128


def eight_bits(trials: Trials, lakes: Sequence[Lake], network: str, size: int, embedded: Embedded) -> Claim:
    """Each seed's layer classifies its test photos by embeddings in floats, and in eight bits.

    The layer is learned in floats, as a job does, and ranges come from training photos. Time:
    benchmarks/serving/networks.py.
    """
    splits = [Parts.of_split(lake.manifest) for lake in lakes]
    tuning = Tuning(trials, lakes[0], network, embedded, splits)
    rows: list[tuple[str, ...]] = []
    lost: list[float] = []
    agreements: list[float] = []
    for seed, (lake, parts) in enumerate(zip(lakes, splits, strict=True)):
        whole = tuning.linear(seed)
        embedding = _embedding(trials, lake, network, size)
        eight = tuning.answer(seed, embedding)
        floats = tuning.logits(seed, embedded.plain[torch.from_numpy(parts.test)])
        agreements.append(agreement(floats, tuning.logits(seed, embedding)))
        lost.append(whole.balanced - eight.balanced)
        rows.append((str(seed), f"{whole.balanced:.3f}", f"{eight.balanced:.3f}", f"{agreements[-1]:.3f}"))
    mean = Repeated.of(lost)
    rows.append(("lost, pair by pair", f"{mean.mean:+.4f} ± {mean.half:.4f}", "", ""))
    return Claim(
        title=f"{network} in eight bits (QDQ): balanced accuracy of a linear layer on the test split",
        columns=("seed", "floats", "eight bits", "photos with the same label"),
        rows=tuple(rows),
        promises={
            f"at least {LEAST_AGREEMENT:.0%} of photos get the same label": min(agreements) >= LEAST_AGREEMENT,
            f"at most {MOST_POINTS_LOST:.0%} of accuracy lost": mean.mean <= MOST_POINTS_LOST,
        },
    )


def agreement(ours: Tensor, theirs: Tensor) -> float:
    """Share of photos with the same label, of logits [N, classes]."""
    return float((ours.argmax(dim=1) == theirs.argmax(dim=1)).double().mean())


def _embedding(trials: Trials, lake: Lake, network: str, size: int) -> Tensor:
    """Embed the test photos in eight bits; measured once, and the small files stay."""
    path = trials.directory / f"eight-bits-{lake.dataset[:12]}-{network}-{size}.pt"
    if not path.exists():
        exported = trials.directory / f"{network}-{size}.onnx"
        if not exported.exists():
            export_onnx(frozen(network, len(lake.manifest.labels)), exported, labels=lake.manifest.labels, size=size)
        learn = lake.manifest.part(Split.TRAIN)
        ranges = learn[:: max(1, len(learn) // _RANGES_FROM)]
        target = path.with_suffix(".onnx")
        quantise(exported, target, lake.pixels(ranges, size).pixels.numpy())
        pixels = lake.pixels(lake.manifest.part(Split.TEST), size).pixels.numpy()
        torch.save(torch.from_numpy(ExportedModel(target).explain(pixels).embedding), path)
    return torch.load(path, weights_only=True)
