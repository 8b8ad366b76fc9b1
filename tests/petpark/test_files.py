"""Files that operators name: written whole or not at all, with the old one kept, and a sentence where that fails."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from petpark.errors import FileInTheWay
from petpark.files import create_file, write_file


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may have more than 1,000 bytes: a longer one fails in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_costs_no_older_file(tmp_path: Path, full_disk: None) -> None:
    page = tmp_path / "page.html"
    page.write_text("last month's")
    with pytest.raises(FileInTheWay, match=r"page\.html cannot be written: File too large") as refused:
        write_file("x" * 5000, page, next_step="Name another: --out FILE")
    assert refused.value.next_step == "Name another: --out FILE"
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"page.html": "last month's"}


def test_of_a_new_file_that_cannot_be_written_nothing_is_left(tmp_path: Path, full_disk: None) -> None:
    with pytest.raises(FileInTheWay, match="File too large"):
        create_file("x" * 5000, tmp_path / "labels.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(FileInTheWay, match="File exists"):
        create_file("other", tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "why"),
    [("none/page.html", "there is no directory"), (".", "Is a directory"), ("n" * 300, "File name too long")],
)
def test_a_place_where_no_file_can_be_is_said(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(FileInTheWay, match=f"cannot be written: {why}"):
        write_file("page", tmp_path / name)


def test_a_link_stays_one_and_a_device_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("page")
    write_file("page \ud800", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "page").read_text() == "page \\ud800"
    with pytest.raises(FileInTheWay, match="/dev/full cannot be written: No space left on device"):
        write_file("page", Path("/dev/full"))
    write_file("page", Path("/dev/null"))
    reading, writing = os.pipe()
    write_file("page", Path(f"/dev/fd/{writing}"))
    assert os.read(reading, 100) == b"page"
    os.close(reading)
    os.close(writing)
    assert not Path("/dev/null").is_file()
