"""A study's page, table and list."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from petpark.errors import FileInTheWay
from petpark.search import page, study_executions
from petpark.search.records import Records
from petpark.search.table import State
from registry.layout.workspace import STUDIES, study_key, study_prefix
from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import Place, Run
from tests.petpark.search.cloud import STUDY, Cloud
from training.search.space import Space


def test_the_page_shows_every_trial_escapes_what_it_was_told_and_needs_nothing_else(
    run: Run, cloud: Cloud, tmp_path: Path
) -> None:
    space = Space(grid=("learning_rate=0.001,0.004", "architecture=resnet8,resnet10"))
    cloud.fate = lambda job: "<b>Out</b>" if job.endswith("1") else ""
    name = cloud.begin(replace(STUDY, space=space, rungs=2))
    study_executions.start(cloud.target, name)
    result = run("search", "show", name, "--out", str(tmp_path / "study.html"))
    assert result.exit_code == 0, result.output
    html = (tmp_path / "study.html").read_text()
    assert html.count("<circle") == 2 * 5, "each success once in both charts"
    assert html.count('"mark best"') == 2
    assert "&lt;b&gt;Out&lt;/b&gt;" in html
    assert "<b>Out</b>" not in html
    assert "http" not in html
    assert "<script" not in html
    assert html.count("<tr") == 1 + 6


def test_a_page_of_nothing_but_failures_says_so(cloud: Cloud, tmp_path: Path) -> None:
    cloud.fate = lambda _job: "OutOfMemory"
    name = cloud.begin()
    study_executions.start(cloud.target, name)
    records = Records(cloud.target, name)
    assert {row.state for row in records.table().rows} == {State.FAILED}
    page.write_page(records.table(), records.study(), tmp_path / "study.html")
    with pytest.raises(FileInTheWay, match="there is no directory"):
        page.write_page(records.table(), records.study(), tmp_path / "missing" / "study.html")
    assert "No trial has succeeded" in (tmp_path / "study.html").read_text()


def test_an_axis_is_in_proportion_by_logarithm_or_even() -> None:
    assert page.axis(["0", "1", "4"]) == ([0.0, 0.25, 1.0], {0.0: "0", 0.25: "1", 1.0: "4"})
    places, ticks = page.axis(["0.0001", "0.01", "0.001"])
    assert places == pytest.approx([0.0, 1.0, 0.5])
    assert list(ticks.values()) == ["0.0001", "0.001", "0.01"]
    assert page.axis(["resnet8", "resnet10"])[0] == [0.25, 0.75]
    assert page.axis(["48"]) == ([0.5], {0.5: "48"})
    crowded = [str(number) for number in range(100)]
    assert list(page.axis(crowded)[1].values()) == ["0", "99"]


def test_a_study_that_cannot_be_read_is_a_row_and_studies_are_known_by_the_beginnings_of_their_ids(
    run: Run, place: Place, cloud: Cloud
) -> None:
    workspace = place.buckets.setdefault("workspace", MemoryStore())
    study = cloud.begin()
    workspace.create(study_key("bad"), b"{}")
    workspace.create(f"{STUDIES}foreign/notes.txt", b"hello")
    workspace.create(f"{STUDIES}ż/ż", b"hello")
    result = run("search", "list")
    assert result.exit_code == 0, result.output
    assert study in result.stdout
    output: dict[str, Any] = {
        one["study"]: one for one in json.loads(run("search", "list", "--json").stdout)["studies"]
    }
    assert {name for name, one in output.items() if one["problem"]} == {"bad", "foreign", "ż"}
    assert study_prefix("bad") in result.stdout
    assert f"not started: petpark search resume {study}" in output[study]["outcome"]
    assert study in run("search", "show", study[:-1], "--json").stdout
