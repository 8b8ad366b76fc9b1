"""The linear layer on embeddings of a frozen network: multinomial logistic regression, at its optimum.

Classes count alike, however many photos they have. Embeddings are centred and scaled while it is learned, and that is
folded into what comes out, so that it answers embeddings as they are. The L2 penalty makes the optimum unique, and
L-BFGS (Liu & Nocedal, 1989) finds it without a rate or a schedule to choose: the same photos give the same layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.errors import Interrupted

PENALTIES: Final = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Strengths that are tried, the strongest first."""

USUAL_PENALTY: Final = 0.1
"""Where there are too few validation photos to choose by."""

FEWEST_TO_CHOOSE: Final = 20
"""Validation photos, at least so many, choose the penalty."""

_STEPS: Final = 60  # of L-BFGS; most end before
_TINY: Final = 1e-6

_OWN: Final = 0.5
"""How much of its own variance a feature is scaled by; the rest is the mean variance of all. A feature that hardly
varies among few photos would be blown up to the size of the others, and noise learned from it: transfer.md."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """A linear layer: embeddings [N, D] to logits [N, classes]."""

    weight: Tensor  # float64 [classes, D]
    bias: Tensor  # float64 [classes]
    penalty: float

    def logits(self, embeddings: Tensor) -> Tensor:
        """Answer embeddings [N, D]."""
        return embeddings.to(self.weight.dtype) @ self.weight.T + self.bias


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How well a head does: balanced over classes in the losses."""

    head: Head
    train_loss: float
    loss: float  # of validation photos
    accuracy: float  # of validation photos


def learn_head(
    embeddings: Tensor,
    targets: Tensor,
    classes: int,
    *,
    penalty: float,
    balance: float = 1.0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Head:
    """Learn from embeddings [N, D] and classes [N], of which each occurs; Interrupted once `should_stop` returns true.

    `balance` 1 has classes count alike, 0 has photos count alike.
    """
    rows = embeddings.double()
    mean, variance = rows.mean(dim=0), rows.var(dim=0, correction=0)
    scale = (_OWN * variance + (1 - _OWN) * variance.mean()).sqrt() + _TINY
    rows = (rows - mean) / scale
    weights = _weights(targets, classes, balance)
    layer = torch.zeros(classes, rows.shape[1] + 1, dtype=rows.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [layer],
        max_iter=_STEPS,
        history_size=10,
        tolerance_grad=1e-6,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        if should_stop():
            raise Interrupted("interrupted while the linear layer was learned; it begins again from the embeddings")
        optimiser.zero_grad()
        logits = rows @ layer[:, :-1].T + layer[:, -1]
        value = (cross_entropy(logits, targets, reduction="none") * weights).sum()
        value = value + penalty / 2 * layer[:, :-1].square().sum()
        value.backward()
        return value

    optimiser.step(loss)  # pyright: ignore[reportArgumentType] - typed for floats, made for tensors
    found = layer.detach()
    weight = found[:, :-1] / scale
    return Head(weight=weight, bias=found[:, -1] - weight @ mean, penalty=penalty)


def choose_head(
    embeddings: Tensor,
    targets: Tensor,
    validation: Tensor,
    truth: Tensor,
    classes: int,
    *,
    penalties: Sequence[float] = PENALTIES,
    balance: float = 1.0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Fit:
    """Learn with each penalty; return the one with least log-loss on validation photos, of equals the strongest."""
    if len(truth) < FEWEST_TO_CHOOSE:
        penalties = (USUAL_PENALTY,)
    best: Fit | None = None
    for penalty in penalties:
        head = learn_head(embeddings, targets, classes, penalty=penalty, balance=balance, should_stop=should_stop)
        logits = head.logits(validation)
        fit = Fit(
            head=head,
            train_loss=_mean_loss(head.logits(embeddings), targets, classes, balance),
            loss=_mean_loss(logits, truth, classes, balance),
            accuracy=float((logits.argmax(dim=1) == truth).double().mean()),
        )
        if best is None or fit.loss < best.loss:
            best = fit
    assert best is not None  # noqa: S101 - there is a penalty
    return best


def _weights(targets: Tensor, classes: int, balance: float) -> Tensor:
    """Weights of photos; their sum is 1."""
    counts = torch.bincount(targets, minlength=classes).clamp(min=1).double()
    weights = (1 / counts**balance)[targets]
    return weights / weights.sum()


def _mean_loss(logits: Tensor, targets: Tensor, classes: int, balance: float) -> float:
    weights = _weights(targets, classes, balance)
    return float((cross_entropy(logits, targets, reduction="none") * weights).sum())
