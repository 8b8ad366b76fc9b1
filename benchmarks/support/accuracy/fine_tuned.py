"""Ways to fine-tune, compared with the linear layer that each starts from; results are stored and not repeated."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.support.accuracy.claims import settings_of
from benchmarks.support.accuracy.fine_tuning import STAGE, VIEWS, Start, fine_tune, see
from benchmarks.support.accuracy.frozen import Embedded, Parts, left_out
from benchmarks.support.accuracy.our_training import Lake
from benchmarks.support.accuracy.trials import Outcome, Trials
from training.hyper_parameters import FOR_TRANSFER
from training.networks.head import Head

FINE_TUNED: Final = replace(
    FOR_TRANSFER, frozen=0, views=VIEWS, epochs=3, learning_rate=0.0003, weight_decay=0.01, ema_decay=0.98
)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The changes to `FINE_TUNED`, and which predictions of a training count."""

    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    layer_decay: float = 1.0  # below 1, each block learns slower by that factor than the next
    answers: str = "last"


_ANSWERS: Final = "answers.pt"  # in a trial's folder
PLAIN: Final = "one rate"
WAYS: Final[Mapping[str, Variant]] = {
    PLAIN: Variant(),
    "a third of the rate": Variant(changes={"learning_rate": 0.0001}),
    "layer-wise rates, 0.5 a block": Variant(layer_decay=0.5),
    "averaged weights": Variant(answers="averaged"),
    "mix-up 0.2": Variant(changes={"mixup": 0.2}),
    "mirror images at inference": Variant(answers="last, flips"),
    "all four": Variant(changes={"mixup": 0.2}, layer_decay=0.5, answers="averaged, flips"),
}


class Tuning:
    """Outcomes by seed: on the test split of that seed's lake, or on groups that are left out, drawn by the seed."""

    def __init__(self, trials: Trials, lake: Lake, network: str, embedded: Embedded, splits: Sequence[Parts]) -> None:
        """`embedded` are the photos of `lake`, in its order; `splits` the seeds' parts of them."""
        self._trials, self._lake, self._network = trials, lake, network
        self._embedded, self._splits = embedded, splits

    @cached_property
    def start(self) -> Start:
        """What the frozen part sees."""
        size, dataset = FINE_TUNED.image_size, self._lake.dataset[:12]
        cache = self._trials.directory / f"start-{dataset}-{self._network}-{size}"
        return see(self._lake, self._network, size, cache)

    def linear(self, seed: int, *, flips: bool = False, unseen: bool = False) -> Outcome:
        """The layer on frozen features; processor time is the layer's alone."""
        parts = self._parts(seed, unseen=unseen)
        head, cpu_seconds = self._head(seed, unseen=unseen)
        places = torch.from_numpy(parts.test)
        plain = head.logits(self._embedded.plain[places].float())
        mirrored = head.logits(self._embedded.mirrored[places].float())
        return self._outcome((plain + mirrored) / 2 if flips else plain, parts, cpu_seconds)

    def logits(self, seed: int, embeddings: Tensor) -> Tensor:
        """Returns the predictions of the seed's layer for other embeddings [N, D]."""
        return self._head(seed, unseen=False)[0].logits(embeddings.float())

    def answer(self, seed: int, embeddings: Tensor) -> Outcome:
        """What the seed's layer makes of other embeddings of its test photos."""
        return self._outcome(self.logits(seed, embeddings), self._splits[seed], 0.0)

    def outcome(self, way: str, seed: int, *, unseen: bool = False) -> Outcome:
        """One way; processor time is the training's, with cached outputs of the frozen part."""
        parts, parameters = self._parts(seed, unseen=unseen), replace(FINE_TUNED, **WAYS[way].changes)
        decay = WAYS[way].layer_decay
        head, before = self._head(seed, unseen=unseen)

        def run(place: Path) -> Outcome:
            start, began = self.start, time.process_time()
            answers = fine_tune(self._network, start, self._embedded, parameters, seed, parts, head, decay)
            torch.save(answers, place / _ANSWERS)
            return self._outcome(answers["last"], parts, before + time.process_time() - began)

        settings = settings_of(parameters) | {"stage": STAGE} | ({"layer_decay": decay} if decay != 1 else {})
        what = "tuning unseen" if unseen else "tuning"
        outcome = self._trials.get(what, "fine-tuned", seed, settings, run)
        stored = torch.load(self._trials.place(what, "fine-tuned", seed, settings) / _ANSWERS, weights_only=True)
        return self._outcome(stored[WAYS[way].answers], parts, outcome.cpu_seconds)

    def _parts(self, seed: int, *, unseen: bool) -> Parts:
        if not unseen:
            return self._splits[seed]
        among, outside = left_out(self._embedded, seed)
        return Parts.halved(among, outside, seed)

    def _head(self, seed: int, *, unseen: bool) -> tuple[Head, float]:
        kind = "unseen" if unseen else "split"
        path = self._trials.directory / f"head-{self._lake.dataset[:12]}-{self._network}-{kind}-{seed}.pt"
        if not path.exists():
            began = time.process_time()
            head = self._embedded.fit(self._parts(seed, unseen=unseen))
            torch.save(asdict(head) | {"cpu_seconds": time.process_time() - began}, path)
        facts = torch.load(path, weights_only=True)
        cpu_seconds = facts.pop("cpu_seconds")
        return Head(**facts), cpu_seconds

    def _outcome(self, logits: Tensor, parts: Parts, cpu_seconds: float) -> Outcome:
        truth = self._embedded.targets[torch.from_numpy(parts.test)].numpy()
        return Outcome.of(truth, logits.argmax(dim=1).numpy(), self._embedded.labels, cpu_seconds)
