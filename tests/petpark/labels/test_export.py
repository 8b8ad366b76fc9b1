"""Labelled photos as files: which originals an index has, and that a failed export leaves nothing in the way."""

import csv
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from petpark.errors import FileInTheWay
from petpark.labels.export import INDEX_FILE, LABELS_FILE, Candidate, export
from training.dataset.sources.source import MAX_BYTES

IDS = ("a1", "b2", "c3")


def candidate(name: str) -> Candidate:
    return Candidate(
        id=name, item=0, camera="gate", at="2026-11-23T10:00:00.000000Z", label="cat", version=1, answer="dog", people=2
    )


@pytest.fixture
def photo() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (200, 200)).save(out, "JPEG")
    return out.getvalue()


def test_an_index_that_cannot_be_written_takes_the_labels_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / INDEX_FILE).write_text("mine")
    with pytest.raises(FileInTheWay, match=r"index\.csv cannot be written: File exists"):
        export([candidate("a1")], out, photos=tmp_path)
    assert {each.name: each.read_text() for each in out.iterdir()} == {INDEX_FILE: "mine"}


def test_originals_that_are_doubtful_are_named_and_not_indexed(tmp_path: Path, photo: bytes) -> None:
    photos = tmp_path / "photos"
    (photos / "again").mkdir(parents=True)
    for name in ("a1.jpg", "b2.jpg", "again/b2.jpeg"):
        (photos / name).write_bytes(photo)
    with (photos / "c3.jpg").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    made = export([candidate(name) for name in IDS], tmp_path / "out", photos=photos)
    assert made.indexed == 1
    assert set(made.refused) == {"again/b2.jpeg, b2.jpg", "c3.jpg"}
    assert "several files" in made.refused["again/b2.jpeg, b2.jpg"]
    assert "the limit is" in made.refused["c3.jpg"]
    with (tmp_path / "out" / INDEX_FILE).open(newline="") as file:
        assert [row["key"] for row in csv.DictReader(file)] == ["a1.jpg"]


def test_a_folder_whose_name_is_no_utf8_is_said_and_stops_nothing(tmp_path: Path, photo: bytes) -> None:
    photos = tmp_path / "photos"
    odd = Path(os.fsdecode(os.fsencode(photos) + b"/\xff"))
    odd.mkdir(parents=True)
    (odd / "a1.jpg").write_bytes(photo)
    made = export([candidate("a1")], tmp_path / "out", photos=photos)
    assert made.refused == {r"\udcff/a1.jpg": "its name is no UTF-8; rename it"}
    assert (tmp_path / "out" / LABELS_FILE).stat().st_size > 0
