"""Train one network. Reads top to bottom.

Every random choice is a pure function of the seed and of where it happens: the order of photos of (seed, epoch), crops
and light of (seed, step). So a checkpoint needs no generator's state, and a run that was interrupted at any step, any
number of times, ends with the same weights as one that was not, bit for bit, on the same kind of machine.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import get_ema_multi_avg_fn

from training.distributed.group import Group
from training.errors import AcceleratorLost, Interrupted, LossNotFinite, OutOfMemory
from training.fitting.batches import Batches, derive
from training.fitting.checkpoint import Checkpoints
from training.fitting.optimiser import build_optimiser
from training.fitting.pixels import LabelledPixels
from training.hyper_parameters import HyperParameters
from training.instance.machine import Usage
from training.job import EpochRecord
from training.networks.model import Classifier, build_model, load_initial_weights, to_photos

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
    group: Group | None = None,
) -> Classifier:
    """Train from the last checkpoint, or from the beginning; returns the averaged weights as a model on the CPU.

    `should_stop` is called before every step: once it returns true a checkpoint is written and Interrupted raised.
    Also raises LossNotFinite, OutOfMemory and AcceleratorLost; checkpoints that were taken before are stored first.
    In a larger group every process calls this with the same arguments; the leader's checkpoints and records count.
    """
    group = group or Group.alone()
    parameters = parameters.for_photos(len(learn))
    try:
        run = _Run(
            learn,
            validate,
            classes=classes,
            parameters=parameters,
            seed=seed,
            initial_weights=initial_weights,
            group=group,
        )
        if state := group.share(checkpoints.last() if group.is_leader else None):
            run.restore(state)
        saved = run.step
        while run.step < run.steps:
            if group.any(should_stop()):
                if group.is_leader and run.step > saved:
                    checkpoints.save(run.step, run.state())
                raise Interrupted(_where_it_stays(run.step, run.steps, stored=checkpoints.settle() or saved))
            run.take_step()
            if run.step % run.steps_per_epoch == 0:
                record = run.finish_epoch()
                if group.is_leader:
                    on_epoch(record)
                    checkpoints.save(run.step, run.state())
                saved = run.step
        return run.averaged.to("cpu").eval()
    except (MemoryError, RuntimeError) as error:
        raise _named(error) from error
    finally:
        checkpoints.settle()


def _where_it_stays(step: int, steps: int, *, stored: int) -> str:
    if stored < step:
        return f"interrupted after {step} of {steps} steps; the checkpoint could not be stored, the one before stays"
    return f"interrupted after {step} of {steps} steps; a checkpoint was written"


def _named(error: MemoryError | RuntimeError) -> Exception:
    """Returns the outcome that torch's error means; the error itself where it means nothing that we know."""
    message = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in message:
        return OutOfMemory("out of memory; lower batch_size or image_size, or take a larger instance")
    if isinstance(error, torch.AcceleratorError) or "CUDA error" in message or "NCCL" in message:
        reason = message.partition("\n")[0]
        return AcceleratorLost(f"the GPU failed or is gone ({reason}); nothing before the last checkpoint is lost")
    if isinstance(error, torch.distributed.DistError) or "gloo" in message:
        return Interrupted(f"another process of the group is gone ({message.partition('\n')[0]})")
    return error


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
        group: Group,
    ) -> None:
        self._group, self._device = group, group.device
        self._precision = precision(self._device)
        self._validate, self._parameters, self._seed = validate, parameters, seed
        _choose_kernels(deterministic=bool(parameters.deterministic))

        torch.manual_seed(derive(seed, "weights"))
        model = build_model(parameters.architecture, classes)
        if initial_weights:
            load_initial_weights(model, initial_weights)
        self._model = group.normalise_together(model).to(self._device).to(memory_format=torch.channels_last)
        self._network = group.distribute(self._model)
        if parameters.compile:
            self._network = cast("nn.Module", torch.compile(self._network))
        averaged = build_model(parameters.architecture, classes, flips=bool(parameters.flips))
        averaged.load_state_dict(model.state_dict())
        self.averaged = averaged.to(self._device).eval()
        self._optimiser = build_optimiser(self._model, parameters)

        # Classes count alike, however many photos they have: rare ones would be guessed away otherwise.
        photos_per_class = torch.bincount(learn.targets, minlength=classes)
        weights = (len(learn) / (classes * photos_per_class)) ** parameters.class_balance
        self._class_weights = weights.to(self._device)

        self._batches = Batches(learn, classes=classes, parameters=parameters, seed=seed, group=group)
        self.steps_per_epoch = self._batches.per_epoch
        self.steps = self._batches.steps
        self.step = 0
        # Stays on the device, for reading it would wait for the step to end.
        self._loss_sum = torch.zeros((), device=self._device)
        self._seconds, self._since, self._usage = 0.0, time.monotonic(), Usage()

    def take_step(self) -> None:
        """Show the network one batch."""
        torch.manual_seed(derive(self._seed, "step", self.step))  # for dropout, where a network has it
        photos, targets = self._batches.at(self.step)
        rate = learning_rate(self._parameters, step=self.step, steps=self.steps)
        for settings in self._optimiser.param_groups:
            settings["lr"] = rate

        self._model.train()
        with torch.autocast(self._device.type, self._precision, enabled=self._precision is not torch.float32):
            logits = self._network(photos.contiguous(memory_format=torch.channels_last))
        loss = cross_entropy(
            logits.float(), targets, weight=self._class_weights, label_smoothing=self._parameters.label_smoothing
        )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()

        self.step += 1
        self._average()
        self._loss_sum += loss.detach()

    def finish_epoch(self) -> EpochRecord:
        """Look at the validation photos; LossNotFinite."""
        self._loss_sum.copy_(self._group.mean(self._loss_sum))
        train_loss = self._mean_loss(self.steps_per_epoch)
        loss, accuracy = self._assess()
        record = EpochRecord(
            epoch=self.step // self.steps_per_epoch,
            of=self._parameters.epochs,
            train_loss=round(train_loss, 5),
            loss=round(loss, 5),
            accuracy=round(accuracy, 5),
            learning_rate=self._optimiser.param_groups[-1]["lr"],
            seconds=round(self._elapsed(), 2),
            usage=self._usage.so_far(),
        )
        self._loss_sum.zero_()
        self._seconds, self._since, self._usage = 0.0, time.monotonic(), Usage()
        return record

    def state(self) -> dict[str, Any]:
        """Returns the whole training state for a checkpoint; LossNotFinite if the loss is not a number."""
        self._mean_loss(1)
        return {
            "step": self.step,
            "loss_sum": self._loss_sum,
            "seconds": self._elapsed(),
            "model": self._model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.step, self._seconds = state["step"], state["seconds"]
        self._loss_sum.copy_(state["loss_sum"])
        self._model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["optimiser"])

    def _mean_loss(self, steps: int) -> float:
        loss = float(self._loss_sum) / steps
        if not math.isfinite(loss):
            epoch = (self.step - 1) // self.steps_per_epoch + 1
            raise LossNotFinite(f"the loss of epoch {epoch} is {loss}; lower learning_rate")
        return loss

    def _elapsed(self) -> float:
        return self._seconds + time.monotonic() - self._since

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights, and batch normalisation's statistics, towards the present ones."""
        decay = min(self._parameters.ema_decay, (1 + self.step) / (10 + self.step))
        get_ema_multi_avg_fn(decay)(_numbers(self.averaged), _numbers(self._model), self.step)

    @torch.no_grad()
    def _assess(self) -> tuple[float, float]:
        """Returns loss and accuracy of the averaged weights on the validation photos."""
        logits = torch.cat(
            [
                self.averaged.explain(to_photos(pixels.to(self._device)))[0].float().cpu()
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


def precision(device: torch.device) -> torch.dtype:
    """Choose by the kind of device only, so that an instance that resumes the job chooses the same.

    bfloat16 pays on GPUs since Ampere; on CPUs it is ten times slower where their own instructions for it are missing.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32


def _choose_kernels(*, deterministic: bool) -> None:
    """On GPUs, select kernels that sum in the same order every time, or the fastest. CPUs' always do."""
    if not torch.cuda.is_available():
        return
    # https://docs.nvidia.com/cuda/cublas/#results-reproducibility: read when the first product is computed.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not deterministic


def _numbers(model: nn.Module) -> list[Tensor]:
    """Returns the weights and running statistics of a model; its counters do not matter for answering."""
    return [tensor for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()]
