"""Figures of pretrained networks: parts that share no photo, fine-tuning that begins at the linear layer, once each."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.support.accuracy import fine_tuned
from benchmarks.support.accuracy.eight_bits import agreement
from benchmarks.support.accuracy.fine_tuned import FINE_TUNED, PLAIN, WAYS, Tuning
from benchmarks.support.accuracy.fine_tuning import VIEWS, Before, Start, Tail, fine_tune
from benchmarks.support.accuracy.frozen import Embedded, Parts, few, left_out
from benchmarks.support.accuracy.our_training import Lake
from benchmarks.support.accuracy.trials import Trials
from registry.store.memory_store import MemoryStore
from tests.training.photos import write_photos
from training.dataset.ingest import ingest
from training.dataset.manifest import Split
from training.networks.head import Head
from training.networks.model import build_model, to_photos

NETWORK, WIDTH, CHANNELS = "efficientnet_lite0", 1280, 192


def drawn(count: int, width: int = 4) -> Embedded:
    """Embeddings that tell two classes apart, of photos in ten groups of each."""
    chance = torch.Generator().manual_seed(3)
    targets = torch.arange(count) % 2
    plain = torch.randn(count, width, generator=chance) + 3 * targets[:, None]
    groups = np.array([f"{target}-{place % 20 // 2}" for place, target in enumerate(targets.tolist())])
    return Embedded(plain=plain.half(), mirrored=plain.half(), targets=targets, groups=groups, labels=("cat", "dog"))


@given(st.integers(10, 200), st.integers(0, 1000))
def test_parts_share_no_photo_and_leave_none_out(count: int, seed: int):
    embedded = drawn(count)
    among, outside = left_out(embedded, seed)
    parts = Parts.halved(among, outside, seed)
    together = np.concatenate([parts.learn, parts.held, parts.test])
    assert sorted(together.tolist()) == list(range(count))
    assert not set(embedded.groups[among]) & set(embedded.groups[outside])
    assert abs(len(parts.held) - len(among) / 5) <= 0.5
    assert set(few(embedded, among, 3, seed).tolist()) <= set(among.tolist())


def test_parts_of_a_split_are_those_of_a_job(tmp_path: Path):
    manifest = ingest(write_photos(tmp_path, per_class=40), MemoryStore(), seed=1).manifest
    parts = Parts.of_split(manifest)
    for places, split in ((parts.learn, Split.TRAIN), (parts.held, Split.VALIDATION), (parts.test, Split.TEST)):
        assert tuple(manifest.photos[place] for place in places) == manifest.part(split)


@torch.no_grad()
def test_what_is_kept_and_what_learns_are_together_the_whole_network():
    torch.manual_seed(1)
    model = build_model(NETWORK, 2).eval()
    pixels = torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8)
    expected = model(to_photos(pixels))
    head = Head(weight=model.head.weight.double().clone(), bias=model.head.bias.double().clone(), penalty=0.1)
    features = Before(model)(pixels)
    assert features.shape == (2, CHANNELS, 2, 2)
    torch.testing.assert_close(Tail(model, head).eval()(features), expected)


def tuned(**changes: Any) -> tuple[dict[str, Tensor], Tensor]:
    """Answers of a short training on drawn features, and those of the linear layer that it begins with."""
    features = 30 * torch.randn(70, VIEWS, CHANNELS, 2, 2, generator=torch.Generator().manual_seed(2)).half()
    embedded = drawn(70)
    chance = torch.Generator().manual_seed(4)
    head = Head(
        weight=torch.randn(2, WIDTH, generator=chance).double() / 100, bias=torch.zeros(2).double(), penalty=0.1
    )
    parts = Parts(learn=np.arange(0, 60), held=np.arange(0), test=np.arange(60, 70))
    parameters = replace(FINE_TUNED, epochs=1, **changes)
    start = Start(features=features, cpu_seconds=0.0)
    answers = fine_tune(NETWORK, start, embedded, parameters, 5, parts, head)
    untouched = fine_tune(NETWORK, start, embedded, replace(parameters, epochs=0), 5, parts, head)
    return answers, untouched["last"]


def test_fine_tuning_begins_at_the_linear_layer_and_is_a_function_of_its_seed():
    slow, linear = tuned(learning_rate=1e-9)
    torch.testing.assert_close(slow["last"], linear, atol=1e-5, rtol=1e-4)
    (first, _), (again, _) = tuned(mixup=0.2, layer_decay=0.5), tuned(mixup=0.2, layer_decay=0.5)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert (linear != 0).any()
    assert not torch.allclose(first["last"], linear, atol=1e-4)
    assert {way.answers for way in WAYS.values()} <= first.keys()


def test_ways_that_differ_in_their_answers_alone_are_one_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained: list[object] = []

    def train(_network: str, _start: Start, embedded: Embedded, parameters: object, *_rest: object) -> Any:
        trained.append(parameters)
        right = torch.eye(2)[embedded.targets[torch.arange(80, 100)]]
        return {name: right if "flips" in name else 1 - right for name in {way.answers for way in WAYS.values()}}

    monkeypatch.setattr(fine_tuned, "fine_tune", train)
    monkeypatch.setattr(Tuning, "start", None)
    parts = Parts(learn=np.arange(60), held=np.arange(60, 80), test=np.arange(80, 100))
    for _ in range(2):  # the second finds everything
        lake = Lake(store=MemoryStore(), dataset="0" * 64)
        tuning = Tuning(Trials(tmp_path, lambda _: None), lake, NETWORK, drawn(100), [parts])
        assert {name: tuning.outcome(name, 0).balanced for name in WAYS} == {
            name: float("flips" in way.answers) for name, way in WAYS.items()
        }
        assert tuning.linear(0).balanced > 0.8
    assert trained == [replace(FINE_TUNED, **changes) for changes in _distinct([way.changes for way in WAYS.values()])]
    assert WAYS[PLAIN].changes == {}


def _distinct(values: list[Any]) -> list[Any]:
    return [value for place, value in enumerate(values) if value not in values[:place]]


def test_labels_agree_where_the_likeliest_class_is_the_same():
    ours, theirs = torch.tensor([[2.0, 1], [0, 1], [3, 1], [0, 5]]), torch.tensor([[9.0, 1], [0, 1], [0, 1], [1, 2]])
    assert agreement(ours, theirs) == 0.75
