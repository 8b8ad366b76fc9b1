"""The permutation MMD keeps its level, ends early without drift, and sees shifts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.embeddings import (
    MOST_PERMUTATIONS,
    kernel_block,
    median_distance,
    mmd_p_value,
    mmd_squared,
    square_distances,
)


def kernel_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    rows = np.concatenate([one, other])
    return kernel_block(rows, rows, median_distance(rows))


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))
def test_mmd_is_symmetric_never_negative_and_what_the_definition_says(seed: int, n: int, m: int, width: int):
    one, other = np.split(np.random.default_rng(seed).normal(size=(n + m, width)), [n])
    kernel = kernel_of(one, other)
    defined = kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()
    assert mmd_squared(kernel, n) == pytest.approx(float(defined), abs=1e-5)
    turned = kernel_block(np.concatenate([other, one]), np.concatenate([other, one]), median_distance(one))
    same = kernel_block(np.concatenate([one, other]), np.concatenate([one, other]), median_distance(one))
    assert mmd_squared(turned, m) == pytest.approx(mmd_squared(same, n), abs=1e-5)
    assert mmd_squared(kernel, n) >= -1e-6


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 5))
def test_distances_are_those_of_the_rows(seed: int, count: int, width: int):
    rows = np.random.default_rng(seed).normal(size=(count, width))
    found = square_distances(rows, rows)
    assert found == pytest.approx(((rows[:, None] - rows[None]) ** 2).sum(axis=2), abs=1e-9)


def test_without_a_shift_no_more_than_the_level_is_rejected():
    rng = np.random.default_rng(3)
    p_values = np.array([mmd_p_value(kernel_of(*rng.normal(size=(2, 30, 3))), 30, rng) for _ in range(200)])
    for level in (0.05, 0.2):
        assert (p_values <= level).mean() < level + 3 * math.sqrt(level * (1 - level) / len(p_values))


def test_a_shift_takes_all_permutations_and_the_smallest_p_value_that_these_allow():
    rng = np.random.default_rng(4)
    one, other = rng.normal(size=(40, 3)), rng.normal(3, 1, size=(40, 3))
    assert mmd_p_value(kernel_of(one, other), 40, rng) == 1 / (MOST_PERMUTATIONS + 1)


def test_the_larger_the_shift_the_larger_the_mmd():
    one, other = np.random.default_rng(5).normal(size=(2, 60, 3))
    width = median_distance(one)
    found = [
        mmd_squared(kernel_block(rows, rows, width), 60)
        for rows in (np.concatenate([one, other + shift]) for shift in (0, 0.5, 1, 2))
    ]
    assert found == sorted(found)


def test_rows_that_are_all_the_same_have_a_width_and_do_not_differ():
    rows = np.ones((20, 3))
    assert median_distance(rows) == 1
    assert mmd_p_value(kernel_block(rows, rows, 1), 10, np.random.default_rng(0)) == 1
