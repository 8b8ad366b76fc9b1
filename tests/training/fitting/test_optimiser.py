"""Muon moves convolutions by orthogonal steps, everything else by Adam's, and learns what AdamW learns."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from training.errors import SpecMalformed
from training.fitting.optimiser import Muon, build_optimiser, orthogonalise
from training.hyper_parameters import HyperParameters
from training.networks.model import build_model

RATE = 0.01


def muon(*weights: Tensor, decay: float = 0.0) -> Muon:
    others = [weight for weight in weights if weight.ndim != 4]
    return Muon([weight for weight in weights if weight.ndim == 4], others, rate=RATE, decay=decay)


def weight_of(*shape: int, gradient: Tensor | None = None) -> nn.Parameter:
    weight = nn.Parameter(torch.ones(shape))
    weight.grad = torch.randn(shape) if gradient is None else gradient
    return weight


@given(rows=st.integers(1, 40), columns=st.integers(1, 40), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1_000))
def test_an_orthogonal_step_keeps_directions_and_makes_them_equally_long(
    rows: int, columns: int, scale: float, seed: int
):
    chance = torch.Generator().manual_seed(seed)
    left, values, right = torch.linalg.svd(torch.randn(rows, columns, generator=chance), full_matrices=False)
    given_ = left * (0.05 + values / values.max()) @ right * scale
    inner = left.T @ orthogonalise(given_) @ right.T
    assert ((inner.diag() > 0.5) & (inner.diag() < 1.3)).all()
    assert (inner - inner.diag().diag()).abs().max() < 1e-2


def test_nothing_to_go_by_moves_nothing():
    assert not orthogonalise(torch.zeros(4, 9)).any()


def test_a_convolution_moves_as_far_as_adam_would_move_it():
    torch.manual_seed(1)
    weight = weight_of(32, 16, 3, 3)
    muon(weight).step()
    moved = (weight.detach() - 1).square().mean().sqrt()
    assert 0.1 * RATE < moved < 0.4 * RATE  # AdamW's steps are some 0.2 to 0.4 of its rate (Liu et al., 2025)


def test_what_is_no_convolution_moves_as_adam_moves_it():
    torch.manual_seed(1)
    ours, theirs = weight_of(7), weight_of(7)
    optimisers = (muon(ours), torch.optim.Adam([theirs], lr=RATE))
    for _ in range(4):
        ours.grad = theirs.grad = torch.randn(7)
        for optimiser in optimisers:
            optimiser.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_weight_decay_shrinks_convolutions_only():
    nothing = torch.zeros(2, 3, 1, 1)
    convolution, bias = weight_of(2, 3, 1, 1, gradient=nothing), weight_of(2, gradient=torch.zeros(2))
    muon(convolution, bias, decay=0.1).step()
    assert torch.allclose(convolution, torch.full((2, 3, 1, 1), 1 - RATE * 0.1))
    assert torch.equal(bias, torch.ones(2))


def test_every_weight_of_a_network_is_in_good_hands():
    model = build_model("resnet8", 2)
    optimiser = build_optimiser(model, replace(HyperParameters(), optimiser="muon"))
    held = [weight for group in optimiser.param_groups for weight in group["params"]]
    assert {id(weight) for weight in held} == {id(weight) for weight in model.parameters()}
    assert len(held) == len(list(model.parameters()))


def test_an_optimiser_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(SpecMalformed, match="adamw, muon"):
        HyperParameters(optimiser="sgd")
