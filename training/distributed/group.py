"""Processes that train one network together: each sees its part of every batch, and all take the same step.

A process alone is a group of one. Larger groups are started by torchrun, on one machine or several; what it puts into
the environment says who is who. https://docs.pytorch.org/docs/stable/elastic/run.html
"""

import os
from dataclasses import dataclass
from typing import Any, Final, Self

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from training.errors import SpecMalformed

_BACKENDS: Final = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


def processes_here() -> int:
    """Returns how many processes of the group share this machine's cores, memory and disk."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@dataclass(frozen=True, kw_only=True)
class Group:
    """Who this process is among those that train together, and what it computes on."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def alone(cls) -> Self:
        """One process, on the machine's first GPU or its CPU."""
        return cls(rank=0, size=1, device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    @classmethod
    def join(cls) -> Self:
        """Find the others, where torchrun started this process; otherwise be alone."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls.alone()
        device = torch.device("cpu")
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        distributed.init_process_group(_BACKENDS[device.type])
        return cls(rank=distributed.get_rank(), size=size, device=device)

    def close(self) -> None:
        """Destroy the process group, at the end."""
        if self.size > 1:
            distributed.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def places(self, batch: int) -> Tensor:
        """Returns this process's places in a batch; SpecMalformed if it cannot be divided.

        For every place its mirror image is among them, so that mixing a batch with its reverse needs no other process.
        """
        if self.size == 1:
            return torch.arange(batch)
        if batch % (2 * self.size):
            raise SpecMalformed(f"{self.size} processes need a batch of a multiple of {2 * self.size}, not {batch}")
        share = batch // 2 // self.size
        front = torch.arange(self.rank * share, (self.rank + 1) * share)
        return torch.cat([front, batch - 1 - front.flip(0)])

    def distribute(self, model: nn.Module) -> nn.Module:
        """Returns a view of `model` that trains as one: equal start, gradients and statistics of whole batches."""
        if self.size == 1:
            return model
        devices = None if self.device.type == "cpu" else [self.device.index]
        return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)

    def normalise_together(self, model: nn.Module) -> nn.Module:
        """Returns `model` with batch normalisation over whole batches, as one process would have it."""
        if self.size == 1:
            return model
        if self.device.type == "cuda":
            return nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return _with_group_statistics(model)

    def mean(self, value: Tensor) -> Tensor:
        """Average over the processes."""
        if self.size > 1:
            value = value.clone()
            distributed.all_reduce(value)
            value /= self.size
        return value

    def any(self, flag: bool) -> bool:
        """Returns whether it is so in any process: they must stop after the same step."""
        if self.size == 1:
            return flag
        asked = torch.tensor([float(flag)])
        distributed.all_reduce(asked)
        return bool(asked > 0)

    def share(self, value: Any) -> Any:
        """Returns the leader's value in every process."""
        if self.size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]


class _Sum(torch.autograd.Function):
    """Sum over the processes, of values and of gradients."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class _GroupBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the batches of all processes. torch's own SyncBatchNorm refuses CPUs."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        size = distributed.get_world_size()
        count = input.numel() // input.shape[1] * size
        mean = _mean(input, size)
        centred = input - mean
        variance = _mean(centred.square(), size)
        self._remember(mean.detach().flatten(), variance.detach().flatten() * count / (count - 1))
        scaled = centred * torch.rsqrt(variance + self.eps)
        return scaled * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)


def _mean(photos: Tensor, size: int) -> Tensor:
    total = _Sum.apply(photos.mean(dim=(0, 2, 3), keepdim=True))
    assert isinstance(total, Tensor)  # noqa: S101 - torch does not say so
    return total / size


def _with_group_statistics(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            together = _GroupBatchNorm2d(child.num_features, child.eps, child.momentum)
            together.load_state_dict(child.state_dict())
            setattr(module, name, together)
        else:
            _with_group_statistics(child)
    return module
