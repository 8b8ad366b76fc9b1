"""Train one network. Reads top to bottom.

Every random choice is a pure function of the seed and of where it happens: the order of photos of (seed, epoch), crops
and light of (seed, step). So a checkpoint needs no generator's state, and a run that was interrupted at any step, any
number of times, ends with the same weights as one that was not, bit for bit, on the same kind of machine.
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import AdamW
from torch.optim.swa_utils import get_ema_multi_avg_fn

from training.augment import augment, mix
from training.checkpoint import Checkpoints
from training.errors import Interrupted, LossNotFinite, OutOfMemory
from training.hyper_parameters import HyperParameters
from training.job import EpochRecord
from training.model import Classifier, build_model, load_initial_weights, normalise, to_photos
from training.pixels import LabelledPixels

_EVALUATION_BATCH: Final = 128


def train(
    learn: LabelledPixels,
    validate: LabelledPixels,
    *,
    classes: int,
    parameters: HyperParameters,
    seed: int,
    initial_weights: Mapping[str, Tensor] | None,
    checkpoints: Checkpoints,
    on_epoch: Callable[[EpochRecord], None],
    should_stop: Callable[[], bool],
) -> Classifier:
    """Train from the last checkpoint, or from the beginning; gives the averaged weights as a model on the CPU.

    `should_stop` is asked before every step: once it says yes a checkpoint is written and Interrupted raised.
    Also raises LossNotFinite and OutOfMemory.
    """
    try:
        run = _Run(learn, validate, classes=classes, parameters=parameters, seed=seed, initial_weights=initial_weights)
        if state := checkpoints.last():
            run.restore(state)
        saved = run.step
        while run.step < run.steps:
            if should_stop():
                if run.step > saved:
                    checkpoints.save(run.step, run.state())
                raise Interrupted(f"interrupted after {run.step} of {run.steps} steps; a checkpoint was written")
            run.take_step()
            if run.step % run.steps_per_epoch == 0:
                on_epoch(run.finish_epoch())
                checkpoints.save(run.step, run.state())
                saved = run.step
        return run.averaged.to("cpu").eval()
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory("out of memory; lower batch_size or image_size, or take a larger instance") from error


class _Run:
    """A training under way: all of its state, and what one step does to it."""

    def __init__(
        self,
        learn: LabelledPixels,
        validate: LabelledPixels,
        *,
        classes: int,
        parameters: HyperParameters,
        seed: int,
        initial_weights: Mapping[str, Tensor] | None,
    ) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # bfloat16 pays on every GPU of this decade; on CPUs it is ten times slower where AVX-512 lacks it.
        self._precision = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._learn, self._validate, self._classes = learn, validate, classes
        self._parameters, self._seed = parameters, seed

        torch.manual_seed(_derive(seed, "weights"))
        model = build_model(parameters.architecture, classes)
        if initial_weights:
            load_initial_weights(model, initial_weights)
        self._model = model.to(self._device).to(memory_format=torch.channels_last)
        self.averaged = build_model(parameters.architecture, classes).to(self._device).eval()
        self.averaged.load_state_dict(model.state_dict())
        self._optimiser = _optimiser(self._model, parameters)

        # Classes count alike, however many photos they have: rare ones would be guessed away otherwise.
        photos_per_class = torch.bincount(learn.targets, minlength=classes)
        self._class_weights = (len(learn) / (classes * photos_per_class)).to(self._device)

        self._batch = min(parameters.batch_size, len(learn))
        self.steps_per_epoch = len(learn) // self._batch
        self.steps = self.steps_per_epoch * parameters.epochs
        self.step = 0
        self._loss_sum = 0.0
        self._seconds = 0.0

    def take_step(self) -> None:
        """Show the network one batch."""
        started = time.monotonic()
        torch.manual_seed(_derive(self._seed, "step", self.step))  # for dropout, where a network has it
        photos, targets = self._next_batch()
        rate = learning_rate(self._parameters, step=self.step, steps=self.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate

        self._model.train()
        with torch.autocast(self._device.type, self._precision, enabled=self._precision is not torch.float32):
            logits = self._model(photos.contiguous(memory_format=torch.channels_last))
        loss = cross_entropy(
            logits.float(), targets, weight=self._class_weights, label_smoothing=self._parameters.label_smoothing
        )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()

        self.step += 1
        self._average()
        self._loss_sum += float(loss.detach())
        self._seconds += time.monotonic() - started

    def finish_epoch(self) -> EpochRecord:
        """Look at the validation photos; LossNotFinite."""
        epoch = self.step // self.steps_per_epoch
        train_loss = self._loss_sum / self.steps_per_epoch
        if not math.isfinite(train_loss):
            raise LossNotFinite(f"the loss of epoch {epoch} is {train_loss}; lower learning_rate")
        loss, accuracy = self._assess()
        record = EpochRecord(
            epoch=epoch,
            of=self._parameters.epochs,
            train_loss=round(train_loss, 5),
            loss=round(loss, 5),
            accuracy=round(accuracy, 5),
            learning_rate=self._optimiser.param_groups[0]["lr"],
            seconds=round(self._seconds, 2),
        )
        self._loss_sum = self._seconds = 0.0
        return record

    def state(self) -> dict[str, Any]:
        """Give everything that decides the future."""
        return {
            "step": self.step,
            "loss_sum": self._loss_sum,
            "seconds": self._seconds,
            "model": self._model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.step, self._loss_sum, self._seconds = state["step"], state["loss_sum"], state["seconds"]
        self._model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["optimiser"])

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        """Give normalised, varied photos and their target distributions; a pure function of seed and step."""
        epoch, place = divmod(self.step, self.steps_per_epoch)
        order = torch.randperm(len(self._learn), generator=_generator(self._seed, "order", epoch))
        chosen = order[place * self._batch : (place + 1) * self._batch]
        photos = to_photos(self._learn.pixels[chosen].to(self._device))
        targets = one_hot(self._learn.targets[chosen], self._classes).float().to(self._device)
        photos = augment(photos, self._parameters, _generator(self._seed, "variation", self.step))
        if self._parameters.mixup:
            draw = np.random.default_rng(_derive(self._seed, "mixup", self.step))
            photos, targets = mix(photos, targets, float(draw.beta(self._parameters.mixup, self._parameters.mixup)))
        return normalise(photos), targets

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights, and batch normalisation's statistics, towards the present ones."""
        decay = min(self._parameters.ema_decay, (1 + self.step) / (10 + self.step))
        get_ema_multi_avg_fn(decay)(_numbers(self.averaged), _numbers(self._model), self.step)

    @torch.no_grad()
    def _assess(self) -> tuple[float, float]:
        """Give loss and accuracy of the averaged weights on the validation photos."""
        logits = torch.cat(
            [
                self.averaged(normalise(to_photos(pixels.to(self._device)))).float().cpu()
                for pixels in self._validate.pixels.split(_EVALUATION_BATCH)
            ]
        )
        right = logits.argmax(dim=1) == self._validate.targets
        return float(cross_entropy(logits, self._validate.targets)), float(right.float().mean())


def learning_rate(parameters: HyperParameters, *, step: int, steps: int) -> float:
    """Rise linearly, then fall along a cosine to zero (Loshchilov & Hutter, ICLR 2017)."""
    rising = max(1, round(parameters.warm_up * steps))
    if step < rising:
        return parameters.learning_rate * (step + 1) / rising
    return parameters.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def _optimiser(model: nn.Module, parameters: HyperParameters) -> AdamW:
    """Decay weights, not biases nor normalisation."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": parameters.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return AdamW(groups, lr=parameters.learning_rate, fused=True)


def _numbers(model: nn.Module) -> list[Tensor]:
    """Give the weights and running statistics of a model; its counters do not matter for answering."""
    return [tensor for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()]


def _derive(seed: int, *where: str | int) -> int:
    digest = hashlib.sha256(repr((seed, *where)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _generator(seed: int, *where: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(_derive(seed, *where))
