"""`petpark data`: photos from anywhere, what differs between datasets, and who decided what."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, override

import pytest
from rich.console import Console
from typer.testing import Result

from petpark.data import datasets
from petpark.output.console import Output
from registry.errors import StoreRefused
from registry.layout.roles import Role
from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import ACCOUNT, Place, Run
from tests.training.photos import jpeg, write_photos
from training.dataset.sources import FolderSource
from training.errors import PhotosUnreachable

type Told = Callable[..., dict[str, Any]]
ALICE = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/alice"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", per_class=24)


@pytest.fixture
def told(run: Run) -> Told:
    """Run a command of `data` and read what it tells a program."""

    def call(*words: str) -> dict[str, Any]:
        said = run("data", *words, "--json")
        assert said.exit_code == 0, said.output
        return json.loads(said.stdout)

    return call


def error(said: Result) -> str:
    return f"{said.exit_code} {said.stderr.partition(':')[0]}"


def index_of(folder: Path, path: Path, **changed: str) -> Path:
    rows = [
        f"{photo.relative_to(folder)},{photo.parent.name},cam {number % 16},2026-03-{1 + number % 9:02}T10:00:00"
        for number, photo in enumerate(sorted(folder.rglob("*.jpg")))
    ]
    path.write_text("key,label,camera,captured_at\n" + "\n".join(rows) + "\n")
    return path


def test_the_same_photos_from_a_folder_a_bucket_and_an_archive_are_the_same_dataset(
    told: Told, place: Place, folder: Path, tmp_path: Path
) -> None:
    park = place.buckets.setdefault("park", MemoryStore())
    for path in folder.rglob("*.jpg"):
        park.create(f"march/{path.relative_to(folder)}", path.read_bytes())
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as tar:
        tar.add(folder, arcname="")
    park.create("photos.tar.gz", (tmp_path / "photos.tar.gz").read_bytes())
    first = told("ingest", str(folder))
    for source in ("s3://park/march", "s3://park/march/", str(tmp_path / "photos.tar.gz"), "s3://park/photos.tar.gz"):
        again = told("ingest", source)
        assert (again["dataset"], again["added"]) == (first["dataset"], 0)


def test_an_index_in_a_file_or_in_a_bucket_says_cameras_and_times(
    told: Told, place: Place, folder: Path, tmp_path: Path
) -> None:
    index = index_of(folder, tmp_path / "photos.csv")
    place.buckets.setdefault("park", MemoryStore()).create("photos.csv", index.read_bytes())
    by_file = told("ingest", str(folder), "--index", str(index), "--split-by", "day", "--seed", "3")
    by_object = told("ingest", str(folder), "--index", "s3://park/photos.csv", "--split-by", "day", "--seed", "3")
    assert by_file["dataset"] == by_object["dataset"]
    shown = told("diff", by_file["dataset"], told("ingest", str(folder))["dataset"])
    assert shown["distributions"]["cameras"]["before"] == {f"cam {number}": 3 for number in range(16)}
    assert shown["distributions"]["cameras"]["distance"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("photos", "--index", "nowhere.csv"), "the index nowhere.csv cannot be read: No such file"),
        (("photos", "--index", "s3://park/nowhere.csv"), "cannot be read: no such object"),
        (("s3:///nothing",), "is not an S3 location"),
        (("s3://park/empty",), "no photos found"),
        (("nowhere.tar",), "nowhere.tar cannot be read: No such file"),
        (("s3://park/nowhere.tar",), "s3://park/nowhere.tar cannot be read: no such object"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(folder.parent)
    done = run("data", "ingest", *words)
    assert error(done) == "1 DatasetRefused"
    assert said in done.stderr


class Closed(MemoryStore):
    """A bucket that refuses whoever asks."""

    @override
    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        raise StoreRefused(f"list {prefix}", "An error occurred (AccessDenied) when calling ListObjectsV2")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("s3://other/2026/march/",), "- other/2026/march"),
        (("s3://other",), "- other"),
        (("s3://other/photos.tar",), "- other/photos.tar"),
        (("photos", "--index", "s3://other/index.csv"), "- other/index.csv"),
    ],
)
def test_a_bucket_that_the_publisher_may_not_read_is_said_with_the_line_that_opens_it(
    run: Run, place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], line: str
) -> None:
    monkeypatch.chdir(folder.parent)
    place.buckets["other"] = Closed()
    done = run("data", "ingest", *words)
    assert error(done) == "2 SourceClosed"
    assert "AccessDenied" in done.stderr
    said = " ".join(done.stderr.split())
    assert f"add `{line}` to petpark:photo_sources" in said


def test_photos_of_a_bucket_are_read_in_the_publishers_role_alone(place: Place, folder: Path) -> None:
    park = place.buckets.setdefault("park", MemoryStore())
    for path in folder.rglob("*.jpg"):
        park.create(f"march/{path.relative_to(folder)}", path.read_bytes())
    target = place.target()
    datasets.ingest(target, "s3://park/march", seed=0, progress=lambda _done, _of: None)
    assert set(target.acted) == {Role.PUBLISHER}


def test_a_public_set_is_recorded_with_its_licence_and_who_made_it(
    told: Told, run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, bool]] = []

    def fetch(directory: Path, *, by_breed: bool = False) -> FolderSource:
        asked.append((directory, by_breed))
        return FolderSource(folder)

    monkeypatch.setattr("training.dataset.sources.oxford.OxfordPetsSource.fetch", fetch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shown = told("ingest", "oxford-iiit-pet")
    told("ingest", "oxford-iiit-pet/breeds")
    assert asked == [(tmp_path / "cache" / "petpark", False), (tmp_path / "cache" / "petpark", True)]
    assert "CC BY-SA 4.0" in shown["terms"]
    first = told("history", shown["dataset"])["changes"][0]
    assert (first["ruling"], first["parent"], first["by"]) == ("ingest", None, ALICE)
    assert "CC BY-SA 4.0" in first["why"]
    assert "Parkhi" in first["why"]
    assert "nothing" in run("data", "history", shown["dataset"]).stdout


def test_a_public_set_that_cannot_be_reached_is_something_around_petpark(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(_directory: Path, *, by_breed: bool = False) -> FolderSource:
        raise PhotosUnreachable("no way there")

    monkeypatch.setattr("training.dataset.sources.oxford.OxfordPetsSource.fetch", fetch)
    assert error(run("data", "ingest", "oxford-iiit-pet")) == "2 PhotosUnreachable"


def test_upon_a_base_no_photo_moves_whatever_the_seed(told: Told, folder: Path) -> None:
    first = told("ingest", str(folder))["dataset"]
    (folder / "cat" / "new.jpg").write_bytes(jpeg(77_777))
    second = told("ingest", str(folder), "--base", first[:10], "--seed", "9")
    assert second["added"] == 1
    shown = told("diff", first, second["dataset"])
    assert (shown["added"], shown["removed"], shown["moved"], shown["redescribed"]) == (1, 0, 0, 0)
    (change,) = told("history", second["dataset"])["changes"]
    assert (change["ruling"], change["parent"], change["by"]) == ("ingest", first, ALICE)


def test_a_relabel_is_a_new_dataset_with_who_and_why(told: Told, run: Run, folder: Path) -> None:
    first = told("ingest", str(folder))["dataset"]
    change = told("relabel", first[:8], "--key", "cat/0003.jpg", "--label", "dog", "--why", "a small dog")
    shown = told("diff", first, change["dataset"])
    assert shown["examples"]["relabelled"] == [{"key": "cat/0003.jpg", "before": "cat", "after": "dog"}]
    assert shown["distributions"]["labels"]["after"] == {"cat": 23, "dog": 25}
    assert (change["by"], change["why"]) == (ALICE, "a small dog")
    history = run("data", "history", change["dataset"]).stdout
    for word in ("alice", "relabel 1 photo as dog", "a small dog"):
        assert word in history


def test_an_exclusion_holds_when_the_folder_is_ingested_again(told: Told, run: Run, folder: Path) -> None:
    first = told("ingest", str(folder))["dataset"]
    keys = ["--key", "cat/0003.jpg", "--key", "dog/0004.jpg"]
    change = told("exclude", first, *keys, "--why", "a dirty lens")
    again = told("ingest", str(folder), "--base", change["dataset"])
    assert again["dataset"] == change["dataset"]
    assert [skipped["path"] for skipped in again["skipped"]] == ["cat/0003.jpg", "dog/0004.jpg"]
    assert "a dirty lens" in again["skipped"][0]["reason"]


def test_a_change_that_cannot_be_made_is_refused_by_name(run: Run, told: Told, folder: Path) -> None:
    first = told("ingest", str(folder))["dataset"]
    assert error(run("data", "exclude", first, "--key", "cat/9999.jpg", "--why", "blurred")) == "1 PhotoUnknown"
    relabel = ("data", "relabel", first, "--key", "cat/0003.jpg", "--label")
    assert error(run(*relabel, "cat", "--why", "sure")) == "1 NothingToChange"
    assert error(run("data", "exclude", "beef", "--key", "a", "--why", "b")) == "1 DatasetMissing"
    assert run("data", "exclude", first, "--why", "no key").exit_code == 2


def test_people_read_what_differs_in_sections(run: Run, told: Told, folder: Path) -> None:
    first = told("ingest", str(folder))["dataset"]
    second = told("relabel", first, "--key", "cat/0003.jpg", "--label", "dog", "--why", "a small dog")["dataset"]
    shown = run("data", "diff", first, second).stdout
    assert f"dataset {first[:12]} → {second[:12]}" in shown
    assert "1: cat/0003.jpg (cat → dog)" in shown
    assert re.search(r"labels\s+2\.1 %", shown)
    assert "nothing: the same photos" in run("data", "diff", first, first).stdout


def test_a_watched_ingestion_shows_how_fast_it_is_and_how_long_it_will_take() -> None:
    shown = io.StringIO()
    console = Console(force_terminal=True, width=120, file=shown)
    output = Output(json=False, out=console, err=console)
    with output.progress("Ingesting photos") as report:
        for done in range(1, 41):
            report(done, 100)
    assert "40/100" in shown.getvalue()
    assert "/s" in shown.getvalue()
