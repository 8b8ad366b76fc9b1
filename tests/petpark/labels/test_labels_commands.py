"""`petpark labels report`, `export` and `page`, as they are called."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest
from PIL import Image

from monitoring.late_labels.records import Answer
from petpark.labels.server import TOKEN_HEADER, LabelServer
from tests.petpark.conftest import Place, Run
from tests.petpark.labels.recorded_photos import NOW, Ticking, draw, labelling, lake_of
from training.dataset.index import read_index


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("petpark.commands.registry.past.utc_now", lambda: NOW)


def label_all(place: Place, sample: Any) -> None:
    """Everything is what the model said, but for the first photo, which shows neither, and a dispute."""
    ana, vera = (labelling(place, sample, name, clock=clock) for clock in [Ticking()] for name in ("ana", "vera"))
    disputed = next(number for number, each in enumerate(sample.photos, start=1) if each.twice and number > 1)
    for number, photo in enumerate(sample.photos, start=1):
        said = sample.strata[photo.stratum].label
        for who in (ana, vera) if photo.twice else (ana,):
            if number == 1:
                who.say(number, Answer.NEITHER, None, seen=None)
            elif number == disputed and who is vera:
                who.say(number, Answer.CLASS, "cat" if said == "dog" else "dog", seen=None)
            else:
                who.say(number, Answer.CLASS, said, seen=None)


def test_the_report_has_accuracy_interval_agreement_and_what_waits_for_a_third(run: Run, place, sample):
    label_all(place, sample)
    facts = json.loads(run("labels", "report", "--json").stdout)
    (week,) = facts["accuracy"]
    assert week["week"] == "2026-W48"
    assert 0.5 < week["accuracy"] < 1
    assert week["interval"][0] < week["accuracy"] < week["interval"][1]
    assert (week["drawn"], week["labelled"], week["disputed"]) == (len(sample.photos), len(sample.photos) - 1, 1)
    assert facts["agreement"]["photos"] == sum(photo.twice for photo in sample.photos)
    (dispute,) = facts["disputed"]
    assert sorted(each["person"] for each in dispute["said"]) == ["ana", "vera"]
    grouped = json.loads(run("labels", "report", "--by", "camera", "--by", "version", "--json").stdout)
    assert [(each["camera"], each["version"]) for each in grouped["accuracy"]] == [("gate", 3), ("pond", 3)]
    said = run("labels", "report").stdout
    assert "2026-W48" in said
    assert "kappa" in said
    assert "ana: " in said


def test_a_report_without_samples_or_labels_says_so(run: Run, place):
    assert "no sample: petpark labels sample" in run("labels", "report").stdout
    draw(place, count=5)
    facts = json.loads(run("labels", "report", "--json").stdout)
    assert (facts["accuracy"][0]["accuracy"], facts["agreement"]) == (None, None)
    assert "unknown" in run("labels", "report").stdout
    later = json.loads(run("labels", "report", "--from", "2026-11-30", "--json").stdout)
    assert later["samples"] == []


def test_labels_are_exported_with_an_index_of_originals_that_ingestion_reads(run: Run, place, sample, tmp_path):
    label_all(place, sample)
    originals, out = tmp_path / "originals", tmp_path / "out"
    (originals / "november").mkdir(parents=True)
    original, small, broken = [photo.id for photo in sample.photos[1:] if not photo.twice][:3]
    Image.new("RGB", (640, 480)).save(originals / "november" / f"{original}.jpg")
    Image.new("RGB", (96, 96)).save(originals / f"{small}.jpg")
    (originals / f"{broken}.jpg").write_bytes(b"no photo")
    (originals / "others.jpg").write_bytes(b"")
    facts = json.loads(run("labels", "export", "--out", str(out), "--photos", str(originals), "--json").stdout)
    candidates = len(sample.photos) - 2  # neither is left out, and so is what is disputed
    assert (facts["candidates"], facts["indexed"], len(facts["missing"])) == (candidates, 1, candidates - 3)
    assert "thumbnail" in facts["refused"][f"{small}.jpg"]
    assert set(facts["refused"]) == {f"{small}.jpg", f"{broken}.jpg"}
    index = read_index("index.csv", (out / "index.csv").read_bytes())
    ((key, row),) = index.rows.items()
    assert key == f"november/{original}.jpg"
    assert row.label in {"cat", "dog"}
    assert row.camera in {"gate", "pond"}
    lines = [json.loads(line) for line in (out / "labels.jsonl").read_text().splitlines()]
    assert len(lines) == candidates
    assert {line["id"] for line in lines} >= {original, small}
    again = json.loads(run("labels", "export", "--out", str(out), "--json").stdout)
    assert again["error"]["outcome"] == "FileInTheWay"


def test_photos_of_no_class_are_exported_under_a_label_that_is_named(run: Run, place, sample, tmp_path):
    label_all(place, sample)
    run("labels", "export", "--out", str(tmp_path / "out"), "--neither", "background")
    labels = [json.loads(line)["label"] for line in (tmp_path / "out" / "labels.jsonl").read_text().splitlines()]
    assert labels.count("background") == 1
    assert not (tmp_path / "out" / "index.csv").exists()


def test_nothing_labelled_is_nothing_to_export(run: Run, place, sample, tmp_path):
    said = run("labels", "export", "--out", str(tmp_path / "out"), "--json")
    assert (said.exit_code, json.loads(said.stdout)["error"]["outcome"]) == (1, "LabelsRefused")
    assert not (tmp_path / "out").exists()


def test_the_page_command_serves_the_newest_sample_under_the_callers_name_until_it_is_interrupted(
    run: Run, place, sample, monkeypatch
):
    seen: dict[str, Any] = {}

    def serve(self: LabelServer) -> None:
        thread = threading.Thread(target=super(LabelServer, self).serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with httpx.Client(trust_env=False, timeout=10) as client:
            url = f"http://{self.hosts[0]}/v1/state"
            seen.update(client.get(url, headers={TOKEN_HEADER: self.token}).json())
        self.shutdown()
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(LabelServer, "serve_forever", serve)
    said = run("labels", "page", "--json")
    assert said.exit_code == 0
    facts = json.loads(said.stdout)
    assert facts["page"].startswith("http://127.0.0.1:")
    assert (seen["sample"], seen["person"], facts["person"]) == (sample.id, "vera", "vera")


def test_a_missing_sample_and_a_port_in_use_are_reported(run: Run, place):
    said = run("labels", "page", "--json")
    assert json.loads(said.stdout)["error"]["next"] == "petpark labels sample --stack test"
    made = draw(place, count=5)
    said = run("labels", "page", "--sample", "../../x", "--json")
    assert made.id in json.loads(said.stdout)["error"]["next"]
    with LabelServer(labelling(place, made, "ana")) as server:
        said = run("labels", "page", "--port", str(server.server_port), "--json")
    assert (said.exit_code, json.loads(said.stdout)["error"]["outcome"]) == (2, "PortTaken")
    assert list(lake_of(place).keys("labels/v1/test/")) == [f"labels/v1/test/{made.id}/sample.json"]
