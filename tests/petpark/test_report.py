"""`petpark models report`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.layout.model_store import blob_key
from registry.version import Version
from tests.petpark.conftest import Place, Run

type Publish = Callable[..., Version]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_a_report_is_fetched_verified_and_its_path_printed(run: Run, publish: Publish, here: Path) -> None:
    publish()
    said = run("models", "report", "1")
    assert said.stdout == "pets-1-report.html\n"
    assert (here / "pets-1-report.html").read_text() == "report.html 1"
    assert [path.name for path in here.iterdir()] == ["pets-1-report.html"]


def test_a_report_goes_where_it_is_wanted(run: Run, publish: Publish, here: Path) -> None:
    publish()
    (here / "reports").mkdir()
    assert run("models", "report", "1", "--out", "reports").stdout == "reports/pets-1-report.html\n"
    told = json.loads(run("models", "report", "1", "--out", "new/first.html", "--json").stdout)
    assert told["path"] == "new/first.html"
    assert told["sha256"] == hashlib.sha256((here / "new" / "first.html").read_bytes()).hexdigest()


def test_another_file_is_not_overwritten_unless_it_is_said(run: Run, publish: Publish, here: Path) -> None:
    publish()
    publish()
    path = here / "pets-1-report.html"
    path.write_text("somebody's notes")
    refused = run("models", "report", "1")
    assert (refused.exit_code, refused.stderr.partition(":")[0]) == (2, "FileInTheWay")
    assert path.read_text() == "somebody's notes"
    assert run("models", "report", "1", "--force").exit_code == 0
    assert path.read_text() == "report.html 1"
    again = json.loads(run("models", "report", "1", "--json").stdout)
    assert again["fetched"] is False


def test_a_report_with_other_bytes_than_promised_is_not_left_behind(
    run: Run, publish: Publish, here: Path, place: Place
) -> None:
    stored = publish().file("report.html")
    assert stored is not None
    key = blob_key("pets", stored.sha256)
    place.replace(key, b"nothing to see here")
    said = run("models", "report", "1")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "FileCorrupted")
    place.buckets["models"].delete(key)
    assert run("models", "report", "1").stderr.startswith("FileCorrupted")
    assert list(here.iterdir()) == []


def test_a_version_without_a_report_says_so(run: Run, publish: Publish, here: Path) -> None:
    publish(report=False)
    said = run("models", "report", "1")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "ReportMissing")


def test_a_place_that_cannot_be_written_is_named(run: Run, publish: Publish, here: Path) -> None:
    publish()
    (here / "file").touch()
    said = run("models", "report", "1", "--out", "file/report.html")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (2, "FileInTheWay")
