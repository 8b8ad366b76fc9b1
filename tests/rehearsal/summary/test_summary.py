"""What a rehearsal leaves behind."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, override

import numpy as np
import pytest

from petpark.models.gates import Verdict
from registry.gates import State
from rehearsal.demo_users import DEMO_USERS
from rehearsal.report import pictures
from rehearsal.report.stages import drawn
from rehearsal.report.steps import StepRecord
from rehearsal.report.summary import Dataset, render, to_json, write_summary
from rehearsal.report.timeline import Release
from rehearsal.scenario.moves.traffic import TrafficReport
from tests.rehearsal.summary.conftest import STACK, Deployed, Facts, photo, prediction, stage, visit

HOSTILE = '<script>alert("1")</script>&\'"><img src=x onerror=y>'


class Elements(HTMLParser):
    """Every element of a page with its attributes, and all that is written between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.text += " "

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_json_keeps_its_contract(facts: Facts, tmp_path: Path) -> None:
    document, page = write_summary(
        tmp_path, facts(recipe="transfer", stages=[stage("MoveTest", outcome="moved", version=1)])
    )
    assert (document.name, page.name) == ("summary.json", "summary.html")
    assert json.loads(document.read_text()) == {
        "steps": [{"name": "deploy stack test", "seconds": 61.24, "ok": True}],
        "pipeline": [
            {
                "execution": "cdcd-1",
                "state": "MoveTest",
                "at": 60.0,
                "seconds": 9.0,
                "outcome": "moved",
                "version": 1,
                "job": "job-MoveTest",
                "instance": "i-1",
                "work": 5.5,
                "overhead": 3.5,
            }
        ],
        "endpoints": {"test": "http://127.20.0.9:8080", "prod": "http://127.0.0.1:18080"},
        "emulator": {"url": "http://127.0.0.1:4566", "region": "eu-west-1"},
        "recipe": "transfer",
        "registry": {"bucket": "models", "model": "pets"},
        "model": {"version": 1, "digest": "sha256:" + "ab" * 32},
        "accuracy": {"value": 0.941, "low": 0.917, "high": 0.958, "n": 512},
        "stacks": {"test": {"region": "eu-west-1"}, "prod": {"region": "eu-west-1"}},
    }


def test_the_page_shows_how_each_version_did_at_the_gates(facts: Facts) -> None:
    passed = Verdict(
        name="accuracy", state=State.PASSED, asked="accuracy: at least 60.0 %", found="91.7 %", why="31.7 points"
    )
    failed = Verdict(
        name="recall", state=State.FAILED, asked="photos of “cat” found", found=HOSTILE, why="3.0 points missing"
    )
    page = Elements(render(facts(gates={1: (passed,), 2: (failed,)})))
    for said in ("✓ 31.7 points", "✗ 3.0 points missing", "accuracy: at least 60.0 %", HOSTILE):
        assert said in page.text
    assert "Gates" not in Elements(render(facts())).text


def test_nothing_but_the_two_files_is_left_behind(facts: Facts, tmp_path: Path) -> None:
    write_summary(tmp_path / "new", facts())
    write_summary(tmp_path / "new", facts())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["summary.html", "summary.json"]


def test_the_page_says_the_verdict_first(facts: Facts) -> None:
    text = " ".join(Elements(render(facts())).text.split())
    assert "Version 1 of pets is certified and answers in prod." in text
    assert "94.1 %" in text
    assert "95 % interval 91.7 to 95.8 %, n = 512" in text
    assert "1.7 s until every endpoint served the previous version" in text
    assert text.index("94.1 %") < text.index("deploy stack test")


def test_the_page_says_who_did_what_and_as_whom(facts: Facts) -> None:
    ana, mia = (f"arn:aws:sts::000000000000:assumed-role/{who}" for who in ("publisher-1/ana", "promoter-2/mia"))
    steps = [
        StepRecord(name="start the emulated cloud", seconds=1, ok=True),
        StepRecord(name="ingest photos", seconds=1, ok=True, detail="48 photos", by=ana),
        StepRecord(name="release 1 to prod", seconds=1, ok=True, by=mia),
        StepRecord(name="train version 2", seconds=1, ok=True, by=ana),
    ]
    releases = [Release(at=1.0, channel="prod", version=1, what="promote", by=mia)]
    text = " ".join(Elements(render(facts(steps=steps, releases=releases, people=DEMO_USERS))).text.split())
    assert f"ana ML engineer ingest photos, train version 2 {ana}" in text
    assert f"mia park operator release 1 to prod {mia}" in text
    assert "promote to version 1 mia" in text
    assert "ana: 48 photos" in text
    assert not {member.name for member in DEMO_USERS if f" {member.name} " in text} - {"ana", "mia"}, "who did nothing"


def test_the_page_shows_the_pipelines_stages_with_their_times_and_the_one_person_in_it(facts: Facts) -> None:
    vera = "arn:aws:sts::000000000000:assumed-role/certifier-1/vera"
    stages = [
        stage("Train", at=70.0, seconds=40.0, work=31.5, outcome="published", version=3),
        stage(
            "WaitForCertification", at=110.0, seconds=60.0, outcome="certified", job="", instance="", work=None, by=vera
        ),
    ]
    text = " ".join(Elements(render(facts(stages=stages))).text.split())
    assert "Execution cdcd-1" in text
    assert "1:10 train and evaluate 40.0 8.5 s published, version 3 i-1" in text
    assert "1:50 wait for certification 60.0 – certified vera" in text
    assert "The pipeline" not in render(facts())


def test_the_bars_of_an_execution_lie_on_its_own_time() -> None:
    stages = [stage("MoveTest", at=10.0, seconds=5.0, work=4.0), stage("ReadBack", at=15.0, seconds=5.0, work=9.0)]
    ((name, bars),) = drawn(stages)
    assert (name, [bar[1:] for bar in bars]) == ("cdcd-1", [(0.0, 40.0, 10.0), (50.0, 50.0, 0.0)])


def test_a_page_of_nobodys_deeds_has_no_table_of_them(facts: Facts) -> None:
    assert "Who did what" not in render(facts(people=DEMO_USERS))


def test_a_rehearsal_that_stopped_says_where(facts: Facts) -> None:
    steps = [
        StepRecord(name="deploy stack test", seconds=1, ok=True),
        StepRecord(name="ingest photos", seconds=1, ok=False),
    ]
    page = render(facts(steps=steps))
    assert "stopped at “ingest photos”" in page
    assert "is certified and answers" not in page


def test_a_rehearsal_that_got_nowhere_still_has_a_page_and_json(facts: Facts) -> None:
    absent = ("bucket", "model", "version", "digest", "accuracy", "dataset", "traffic")
    empty: dict[str, Any] = {
        "steps": [],
        "predictions": [],
        "releases": [],
        "endpoints": {},
        "stacks": {},
        "resources": {},
    }
    nothing = facts(**dict.fromkeys(absent), **empty)
    assert "ended without a model" in render(nothing)
    assert to_json(nothing)["accuracy"] is None


def test_hostile_names_are_only_ever_text(facts: Facts) -> None:
    hostile = facts(
        steps=[StepRecord(name=HOSTILE, seconds=1, ok=True, detail=HOSTILE, by=HOSTILE)],
        endpoints={HOSTILE: HOSTILE},
        bucket=HOSTILE,
        model=HOSTILE,
        digest=HOSTILE,
        dataset=Dataset(
            source=HOSTILE,
            sha256=HOSTILE,
            photos=1,
            labels={HOSTILE: 1},
            splits={HOSTILE: 1},
            skipped=[(HOSTILE, HOSTILE)],
        ),
        predictions=[
            prediction(name=HOSTILE, truth=HOSTILE, label=HOSTILE),
            prediction(name=HOSTILE, truth="x", label=HOSTILE),
        ],
        resources={HOSTILE: [Deployed(urn="u", type=f"petpark:infra:{HOSTILE}", name=HOSTILE), *STACK]},
        usage=[(HOSTILE, HOSTILE)],
        engine=HOSTILE,
    )
    releases = [
        release.__class__(at=1.0, channel=HOSTILE, version=1, what=HOSTILE, why=HOSTILE, by=HOSTILE)
        for release in hostile.releases
    ]
    page = render(facts(**{**vars(hostile), "releases": releases}))
    elements = Elements(page)
    assert not [tag for tag, _ in elements.found if tag == "script"]
    assert not [attributes for _, attributes in elements.found if any(name.startswith("on") for name in attributes)]
    assert all((attributes.get("src") or "").startswith("data:") for tag, attributes in elements.found if tag == "img")


def test_the_page_needs_nothing_from_anywhere(facts: Facts) -> None:
    page = render(facts(predictions=[prediction(activation_map=[[0, 1], [2, 3]])], usage=[("look", "curl http://x")]))
    elements = Elements(page)
    assert not {tag for tag, _ in elements.found} & {"script", "link", "iframe", "object"}
    for _, attributes in elements.found:
        for name in ("src", "href", "srcset", "poster", "action"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    assert not re.search(r"url\((?!#)|@import", page)


def test_mistakes_are_shown_the_surest_first(facts: Facts) -> None:
    wrong = [prediction(name=f"dog/{n}.jpg", truth="dog", probability=n / 10) for n in (6, 9, 7)]
    gallery = render(facts(predictions=wrong)).partition("<h2>Errors</h2>")[2]
    names = re.findall(r'title="(dog/\d\.jpg)"', gallery)
    assert names == ["dog/9.jpg", "dog/7.jpg", "dog/6.jpg"]


def test_a_photo_that_cannot_be_read_is_named_and_does_not_stop_the_page(facts: Facts) -> None:
    assert "unreadable" in render(facts(predictions=[prediction(photo=b"no photo")]))


def test_the_page_shows_what_the_camera_saw(facts: Facts) -> None:
    left, unfinished = visit(), visit(label="<cat>", why="", picture=None)
    page = render(facts(visits=[left, unfinished]))
    assert "What the camera saw" in page
    assert "10:18:04, 2.8 s, left</div>" in page
    assert "10:18:04, 2.8 s</div>" in page
    assert page.count("by version 2") == 2
    assert "97.3 %" in page
    assert "&lt;cat&gt;" in page
    assert "no picture" in page
    assert "What the camera saw" not in render(facts())


def test_lost_requests_are_counted_aloud(facts: Facts) -> None:
    page = render(facts(traffic=TrafficReport(answered={1: 8}, failures=("a", "b"))))
    text = " ".join(Elements(page).text.split())
    assert "Failed requests during releases 2 of 10 sent during the switches" in text


def test_at_most_24_predictions_are_shown_and_explained_ones_come_first(facts: Facts) -> None:
    many = [prediction(name=f"{n}.jpg") for n in range(100)]
    assert render(facts(predictions=many)).count('<li class="card') == 24
    explained = [prediction(name=f"{n}.jpg", activation_map=[[1.0]]) for n in range(5)]
    assert render(facts(predictions=[*many, *explained])).count('class="heat"') == 5


@pytest.mark.parametrize("size", [(64, 48), (10, 300)])
def test_a_thumbnail_is_square_and_inside_of_the_page(size: tuple[int, int]) -> None:
    picture = pictures.thumbnail(photo(size), 96)
    assert picture is not None
    assert picture.startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("bad", [[], [[]], [[1.0], [1.0, 2.0]], [[float("nan")]], [[[1.0]]], np.zeros(3)])
def test_a_map_that_is_none_gives_no_heat(bad: object) -> None:
    assert pictures.heat(bad, 32) is None  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("fine", [[[0.0]], [[-1.0, -2.0]], [[1e30, -1e30]], np.ones((7, 7))])
def test_any_scale_of_activations_gives_a_heat(fine: object) -> None:
    assert (pictures.heat(fine, 32) or "").startswith("data:image/png;base64,")  # pyright: ignore[reportArgumentType]
