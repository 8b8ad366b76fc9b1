"""Twelve photos in all, of whatever size, are learned from; two of a class are not, and that is said."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from registry.encoding import sha256_hex
from registry.layout.data_lake import photo_key
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from tests.examples import examples
from tests.training.conftest import REQUESTER, TINY
from tests.training.photos import write_photos
from training.dataset.index import Row
from training.dataset.ingest import describe, ingest
from training.errors import DatasetRefused, SpecMalformed
from training.fitting.pixels import load_pixels
from training.hyper_parameters import FOR_TRANSFER
from training.job import STAGES, JobSpec, ProgressRecord, initial_weights_key
from training.jobs.run import run_job
from training.networks.model import build_model
from training.plan import Checks, EvaluationPlan


def photo(seed: int, size: tuple[int, int]) -> bytes:
    """Coarse blocks of colour, told apart at any size."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("frozen", [1, 0])
def test_twelve_photos_are_enough_and_the_report_says_how_little_they_show(tmp_path: Path, frozen: int):
    folder, lake = write_photos(tmp_path / "photos", per_class=6), MemoryStore()
    (folder / "cat" / "0000.jpg").write_bytes(photo(1, (9, 7)))
    (folder / "dog" / "0000.jpg").write_bytes(photo(2, (6000, 4000)))
    dataset = ingest(folder, lake, seed=1).sha256
    torch.manual_seed(0)
    torch.save(build_model(TINY.architecture, 5).state_dict(), tmp_path / "weights.pt")
    data = (tmp_path / "weights.pt").read_bytes()
    workspace, catalog = MemoryStore(), Catalog(MemoryStore(), "pets")
    workspace.create(initial_weights_key("job"), data)
    spec = JobSpec(
        dataset=dataset,
        seed=1,
        requested_by=REQUESTER,
        hyper_parameters=replace(TINY, frozen=frozen, views=0, epochs=0),
        initial_weights=sha256_hex(data),
        evaluation=EvaluationPlan(checks=Checks(photos=2, calls=1)),
    )
    messages: list[str] = []
    result = run_job(
        "job",
        spec,
        workspace=workspace,
        lake=lake,
        catalog=catalog,
        directory=tmp_path,
        report=lambda event, facts: messages.append(f"{event} {facts.get('doing', '')}".strip()),
    )
    assert (result.status, result.version) == ("succeeded", 1), result.message
    assert result.metrics["accuracy_high"] - result.metrics["accuracy_low"] > 0.3
    assert "gates failed: accuracy" in (result.message or "")
    expected = [f"progress {doing}" for doing in STAGES if frozen or doing != STAGES[1]]
    assert [each for each in dict.fromkeys(messages) if each.startswith("progress")] == expected
    assert (("epoch" in messages), bool(result.seconds)) == (True, True)


def test_two_photos_a_class_are_refused_with_how_many_are_needed(tmp_path: Path):
    with pytest.raises(DatasetRefused, match="class 'cat' has 2 usable photos, at least 6 are needed, to learn from"):
        ingest(write_photos(tmp_path, per_class=2), MemoryStore(), seed=1)


@settings(max_examples=examples(20))
@given(seed=st.integers(0, 2**32))
def test_a_photo_of_any_size_is_seen_at_the_networks_own(seed: int):
    draw = np.random.default_rng(seed)
    size = (int(draw.integers(1, 1200)), int(draw.integers(1, 1200)))
    lake = MemoryStore()
    data = photo(seed, size)
    taken = describe("cat/1.jpg", data, seed=0, row=Row(label="cat", camera=None, captured_at=None))
    lake.create(photo_key(taken.sha256), data)
    pixels = load_pixels(lake, [taken], ["cat"], FOR_TRANSFER.image_size, check=lambda: None).pixels
    assert pixels.shape == (1, 224, 224, 3)


def test_progress_is_one_of_the_stages_and_sorts_as_it_was_told():
    record = ProgressRecord(doing=STAGES[1], done=64, of=128, seconds_left=3.5)
    assert ProgressRecord.from_json(record.to_json()) == record
    assert record.key == (1, 64)
    with pytest.raises(SpecMalformed, match="doing must be one of"):
        ProgressRecord.from_json(replace(record, doing="something").to_json())
