"""What moves the weights: AdamW, or Muon, which learns more from every photo and pays for it with arithmetic."""

from collections.abc import Callable, Iterable
from typing import Any, Final, override

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from training.hyper_parameters import HyperParameters

_MOMENTUM: Final = 0.95
_FIRST, _SECOND = 0.9, 0.999  # Adam's decays, for what is not a matrix
_TINY: Final = 1e-8
# A quintic that brings singular values between 0 and 1 near to 1, five times applied (Jordan et al., Muon, 2024).
_QUINTIC: Final = (3.4445, -4.7750, 2.0315)
_TIMES: Final = 5
# Makes a step as large as AdamW's usually is, so that both have the same learning rates (Liu et al., 2025).
_AS_ADAM: Final = 0.2


def build_optimiser(model: nn.Module, parameters: HyperParameters) -> Optimizer:
    """Build the one that the recipe names. It decays weights, not biases nor normalisation."""
    if parameters.optimiser == "muon":
        convolutions = [weight for weight in model.parameters() if weight.ndim == 4]
        others = [weight for weight in model.parameters() if weight.ndim != 4]
        return Muon(convolutions, others, rate=parameters.learning_rate, decay=parameters.weight_decay)
    weights = list(model.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": parameters.weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=parameters.learning_rate, fused=True)


class Muon(Optimizer):
    """Moves convolutions by their momentum made orthogonal, and all else by Adam (Jordan et al., 2024).

    torch's own takes matrices only, and computes in bfloat16, which CPUs without instructions for it do slowly.
    """

    def __init__(self, convolutions: Iterable[Tensor], others: Iterable[Tensor], *, rate: float, decay: float) -> None:
        groups = [{"params": list(convolutions), "orthogonal": True}, {"params": list(others), "orthogonal": False}]
        super().__init__(groups, {"lr": rate, "weight_decay": decay})

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step along the existing gradients; `closure` is not called."""
        for group in self.param_groups:
            move = self._orthogonally if group["orthogonal"] else self._as_adam
            for weight in group["params"]:
                if weight.grad is not None:
                    move(weight, weight.grad, group)

    def _orthogonally(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        direction = orthogonalise(gradient.lerp(momentum, _MOMENTUM).flatten(1))  # one row for each output, as Nesterov
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(direction.view_as(weight), alpha=-group["lr"] * _AS_ADAM * max(direction.shape) ** 0.5)

    def _as_adam(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state |= {"mean": torch.zeros_like(weight), "square": torch.zeros_like(weight), "steps": 0}
        state["steps"] += 1
        mean = state["mean"].lerp_(gradient, 1 - _FIRST)
        square = state["square"].lerp_(gradient.square(), 1 - _SECOND)
        spread = (square / (1 - _SECOND ** state["steps"])).sqrt_().add_(_TINY)
        weight.addcdiv_(mean, spread, value=-group["lr"] / (1 - _FIRST ** state["steps"]))


def orthogonalise(matrix: Tensor) -> Tensor:
    """Returns a matrix with the same singular vectors, whose singular values are all near 1 (0.7 to 1.2).

    Iterates on the small square of a wide matrix, and multiplies the wide one once: less than half of the arithmetic.
    """
    a, b, c = _QUINTIC
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    square = wide @ wide.T
    whole = unit = torch.eye(len(wide), device=wide.device)
    for _ in range(_TIMES):
        factor = a * unit + b * square + c * square @ square
        whole = factor @ whole
        square = factor @ square @ factor
    result = whole @ wide
    return result if matrix.shape[0] <= matrix.shape[1] else result.T
