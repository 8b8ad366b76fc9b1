"""A group of processes that train one network: each has its share of every batch, and all take the same steps.

A single process is a group of one. Larger groups are started like by torchrun, on one instance or several, whose
environment variables have rank and size. https://docs.pytorch.org/docs/stable/elastic/run.html
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
    """Returns the number of the group's processes on this instance."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rank of this process, the size of its group, and its device."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def alone(cls) -> Self:
        """Returns a group of one, on the first GPU or the CPU."""
        return cls(rank=0, size=1, device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    @classmethod
    def join(cls) -> Self:
        """Returns the group from torchrun's environment variables; a group of one without them."""
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
        """Destroy the process group."""
        if self.size > 1:
            distributed.destroy_process_group()

    @property
    def is_leader(self) -> bool:
        """Whether this process stores and publishes (rank 0)."""
        return self.rank == 0

    def indices(self, batch: int) -> Tensor:
        """Returns this process's indices in a batch. Raises SpecMalformed if it cannot be divided.

        With every index they contain its mirror image, so that mixing a batch with its reverse (mixup) needs no
        communication.
        """
        if self.size == 1:
            return torch.arange(batch)
        if batch % (2 * self.size):
            raise SpecMalformed(
                f"{self.size} processes need a batch size that is a multiple of {2 * self.size}, not {batch}"
            )
        share = batch // 2 // self.size
        front = torch.arange(self.rank * share, (self.rank + 1) * share)
        return torch.cat([front, batch - 1 - front.flip(0)])

    def distribute(self, model: nn.Module) -> nn.Module:
        """Returns `model` with synchronised initial weights and gradients."""
        if self.size == 1:
            return model
        devices = None if self.device.type == "cpu" else [self.device.index]
        return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)

    def normalise_together(self, model: nn.Module) -> nn.Module:
        """Returns `model` with batch normalisation over the batches of all processes."""
        if self.size == 1:
            return model
        if self.device.type == "cuda":
            return nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return _with_group_statistics(model)

    def mean(self, value: Tensor) -> Tensor:
        """Returns the mean over all processes."""
        if self.size > 1:
            value = value.clone()
            distributed.all_reduce(value)
            value /= self.size
        return value

    def any(self, flag: bool) -> bool:
        """Returns whether `flag` is set in any process, so that all stop after the same step."""
        if self.size == 1:
            return flag
        total = torch.tensor([float(flag)])
        distributed.all_reduce(total)
        return bool(total > 0)

    def share(self, value: Any) -> Any:
        """Returns the leader's value."""
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
    """Batch normalisation over the batches of all processes. SyncBatchNorm does not support CPUs."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        size = distributed.get_world_size()
        count = input.numel() // input.shape[1] * size
        mean = _mean(input, size)
        centred = input - mean
        variance = _mean(centred.square(), size)
        self._update(mean.detach().flatten(), variance.detach().flatten() * count / (count - 1))
        scaled = centred * torch.rsqrt(variance + self.eps)
        return scaled * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)


def _mean(photos: Tensor, size: int) -> Tensor:
    total = _Sum.apply(photos.mean(dim=(0, 2, 3), keepdim=True))
    assert isinstance(total, Tensor)  # noqa: S101 - not in torch's types
    return total / size


def _with_group_statistics(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            group_norm = _GroupBatchNorm2d(child.num_features, child.eps, child.momentum)
            group_norm.load_state_dict(child.state_dict())
            setattr(module, name, group_norm)
        else:
            _with_group_statistics(child)
    return module
