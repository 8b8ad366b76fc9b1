"""A linear layer on a frozen network: at its optimum, and the same however often it was interrupted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from registry.encoding import sha256_hex
from registry.layout.jobs import progress_prefix
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from tests.examples import examples
from tests.training.conftest import REQUESTER, TINY, Built
from tests.training.training_process import some_pixels
from training.errors import Interrupted, SpecMalformed
from training.fitting.checkpoint import Checkpoints
from training.fitting.frozen import Learned, train_head
from training.hyper_parameters import FOR_TRANSFER
from training.job import JobSpec, ProgressRecord, initial_weights_key
from training.jobs.admission import admit
from training.jobs.run import run_job
from training.networks.head import FEWEST_TO_CHOOSE, USUAL_PENALTY, choose_head, learn_head
from training.networks.model import build_model

FROZEN = replace(TINY, frozen=1, views=3)


def learn(checkpoints: Checkpoints, *, stop_after: int = 99, told: list[ProgressRecord] | None = None) -> Learned:
    """Learn from 62 drawn photos in chunks of 16; the machine goes after so many chunks."""
    photos, validate = some_pixels(62, seed=1), some_pixels(30, seed=2)

    def chunks(first: int) -> Iterator[Tensor]:
        for number, part in enumerate(photos.pixels[first:].split(16)):
            if number == stop_after:
                raise Interrupted("the machine goes")
            yield part

    torch.manual_seed(9)
    return train_head(
        photos.photos,
        photos.targets,
        chunks,
        validate=validate,
        classes=2,
        parameters=replace(FROZEN, image_size=photos.pixels.shape[1]),
        seed=5,
        initial_weights=build_model(FROZEN.architecture, 3).state_dict(),
        checkpoints=checkpoints,
        on_progress=(told if told is not None else []).append,
        on_epoch=lambda _: None,
        should_stop=lambda: False,
        device=torch.device("cpu"),
    )


@dataclass(frozen=True, kw_only=True)
class Whole:
    """What a run that nothing interrupted learned, and what it reported."""

    learned: Learned
    told: list[ProgressRecord]


@pytest.fixture(scope="module")
def whole() -> Whole:
    told: list[ProgressRecord] = []
    return Whole(learned=learn(Checkpoints(MemoryStore(), "job"), told=told), told=told)


def test_an_interrupted_embedding_goes_on_to_equal_weights(whole: Whole):
    checkpoints = Checkpoints(MemoryStore(), "job")
    for done in (16, 32):
        with pytest.raises(Interrupted, match=f"after {done} of 62 photos were embedded; a checkpoint was written"):
            learn(checkpoints, stop_after=1)
    resumed = learn(checkpoints).model.state_dict()
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.learned.model.state_dict().items())


def test_the_convolutions_stay_frozen_and_progress_is_reported(whole: Whole):
    learned, told = whole.learned, whole.told
    torch.manual_seed(9)
    before = build_model(FROZEN.architecture, 3).state_dict()
    after = learned.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("features."))
    assert [record.done for record in told] == [16, 32, 48, 62]
    assert told[-1].seconds_left == 0
    assert learned.embeddings is not None
    assert len(learned.embeddings.targets) == 92


def test_the_head_is_at_the_optimum_that_its_penalty_names():
    """The gradient of the penalised loss, written down by hand, is zero."""
    rows = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)).double()
    targets = (rows[:, 0] + 0.5 * torch.randn(60, generator=torch.Generator().manual_seed(1)) > 0.8).long()
    head = learn_head(rows, targets, 2, penalty=0.05)
    variance, mean = rows.var(dim=0, correction=0), rows.mean(dim=0)
    scale = (variance / 2 + variance.mean() / 2).sqrt()
    standard = (rows - mean) / scale
    share = 0.5 / torch.bincount(targets).double()[targets]  # classes alike
    errors = (head.logits(rows).softmax(dim=1) - torch.eye(2).double()[targets]) * share[:, None]
    gradient = errors.T @ standard + 0.05 * head.weight * scale
    assert gradient.abs().max() < 1e-4
    assert errors.sum(dim=0).abs().max() < 1e-4


def test_a_feature_that_hardly_varies_among_few_photos_says_little():
    """Standardised by itself it would say as much as any other; here two classes differ by it and by nothing else."""
    rows = torch.randn(12, 40, generator=torch.Generator().manual_seed(0)).double()
    rows[:, 0] = torch.arange(12) % 2 * 1e-3
    head = learn_head(rows, torch.arange(12) % 2, 2, penalty=0.1)
    evidence = (head.weight[1] - head.weight[0]).abs() * rows.std(dim=0)
    assert evidence[0] < evidence[1:].max() / 10


@settings(max_examples=examples(20))
@given(factor=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_a_head_answers_alike_in_whatever_unit_embeddings_come(factor: float, shift: float):
    rows = torch.randn(40, 4, generator=torch.Generator().manual_seed(3)).double()
    targets = (rows[:, 1] > 0).long()
    one = learn_head(rows, targets, 2, penalty=0.1).logits(rows)
    other = learn_head(rows * factor + shift, targets, 2, penalty=0.1).logits(rows * factor + shift)
    assert torch.allclose(one, other, atol=2e-2)


def test_few_validation_photos_do_not_choose_the_penalty():
    rows, targets = torch.randn(30, 4, generator=torch.Generator().manual_seed(3)), torch.arange(30) % 2
    few = FEWEST_TO_CHOOSE - 1
    assert choose_head(rows, targets, rows[:few], targets[:few], 2).head.penalty == USUAL_PENALTY
    noise = choose_head(rows, targets, -rows, targets, 2)  # what was learned is wrong there: the less the better
    assert noise.head.penalty == 1.0


@given(count=st.integers(1, 100_000), batch=st.integers(1, 512))
def test_what_is_left_to_the_number_of_photos_is_always_chosen(count: int, batch: int):
    chosen = replace(FOR_TRANSFER, batch_size=batch).for_photos(count)
    more = replace(FOR_TRANSFER, batch_size=batch).for_photos(count + 1)
    assert 2 <= more.views <= chosen.views <= 8
    steps = chosen.epochs * (count // min(batch, count))
    assert chosen.epochs >= 1
    assert steps <= max(2 * 6.3 * count**0.6, count)  # or one epoch
    told = replace(FOR_TRANSFER, epochs=7, views=3)
    assert told.for_photos(count) == told


def test_a_frozen_network_needs_weights_and_one_instance(built: Built):
    spec = replace(built.spec, hyper_parameters=FROZEN)
    with pytest.raises(SpecMalformed, match="no initial weights; add --weights"):
        admit(spec, built.lake)
    admit(spec, built.lake, weights_follow=True)
    with pytest.raises(SpecMalformed, match="on one instance"):
        admit(replace(spec, initial_weights="a" * 64, instances=2), built.lake)


def test_a_frozen_job_publishes_a_version(built: Built, tmp_path: Path):
    """It begins with the weights of an earlier version, whose classes are others."""
    workspace, catalog = MemoryStore(), Catalog(MemoryStore(), "pets")
    torch.manual_seed(0)
    torch.save(build_model(TINY.architecture, 5).state_dict(), tmp_path / "five.pt")
    data = (tmp_path / "five.pt").read_bytes()
    workspace.create(initial_weights_key("job"), data)
    spec = JobSpec(
        dataset=built.spec.dataset,
        seed=1,
        requested_by=REQUESTER,
        hyper_parameters=FROZEN,
        initial_weights=sha256_hex(data),
    )
    result = run_job("job", spec, workspace=workspace, lake=built.lake, catalog=catalog, directory=tmp_path)
    assert (result.status, result.version) == ("succeeded", 1)
    assert result.metrics["accuracy"] > 0.9
    assert list(workspace.keys(progress_prefix("job")))
    assert catalog.version(1).labels == ("cat", "dog")
