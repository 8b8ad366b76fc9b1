"""The registry as operators see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from registry.channel import Channel
from registry.layout import blob_key
from registry.object_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import Place, Run

type Publish = Callable[..., Version]


def test_an_empty_registry_says_how_it_gets_a_version(run: Run) -> None:
    assert "petpark train" in run("models", "list").stdout
    assert json.loads(run("models", "list", "--json").stdout) == {"versions": []}


def test_the_list_shows_the_newest_first_with_its_decision_and_its_channels(run: Run, publish: Publish) -> None:
    publish()
    publish()
    run("certify", "1", "--decision", "certified", "--note", "x")
    run("promote", "1", "--channel", "prod", "--why", "x")
    run("promote", "2", "--channel", "test", "--why", "x")
    told = json.loads(run("models", "list", "--json").stdout)["versions"]
    assert [(v["number"], v["decision"], v["channels"]) for v in told] == [
        (2, "none", ["test"]),
        (1, "certified", ["prod"]),
    ]
    rows = run("models", "list").stdout.splitlines()
    assert rows[1].split()[0] == "2"
    assert "92.0 %" in rows[1]


def test_show_tells_everything_about_one_version(run: Run, publish: Publish) -> None:
    version = publish()
    shown = run("models", "show", "1").stdout
    assert version.digest in shown
    assert "model.onnx" in shown
    assert json.loads(run("models", "show", "1", "--json").stdout)["digest"] == version.digest
    assert run("models", "show", "2").exit_code == 1


def test_history_tells_who_moved_a_channel_and_why(run: Run, publish: Publish) -> None:
    publish()
    run("promote", "1", "--channel", "test", "--why", "to see it")
    assert "to see it" in run("models", "history", "--channel", "test").stdout
    (move,) = json.loads(run("models", "history", "--channel", "test", "--json").stdout)["moves"]
    assert (move["number"], move["version"], move["previous"]) == (1, 1, None)
    assert run("models", "history").stdout.strip() == "Channel prod was never moved."


def test_verify_finds_a_certified_version_sound(run: Run, publish: Publish) -> None:
    publish()
    run("certify", "1", "--decision", "certified", "--note", "x")
    run("promote", "1", "--channel", "prod", "--why", "x")
    said = run("models", "verify", "1", "--json")
    told = json.loads(said.stdout)
    assert (said.exit_code, told["sound"]) == (0, True)
    assert [finding["what"] for finding in told["findings"]] == ["files", "certificate", "channel prod, move 1"]


def test_verify_finds_one_changed_byte(run: Run, publish: Publish, place: Place) -> None:
    version = publish()
    run("certify", "1", "--decision", "certified", "--note", "x")
    copied = MemoryStore()
    spoiled = blob_key("pets", version.files[0].sha256)
    for key in place.buckets["models"].keys(""):
        copied.create(key, b"other" if key == spoiled else place.buckets["models"].get(key))
    place.buckets["models"] = copied
    said = run("models", "verify", "1")
    assert said.exit_code == 1
    assert version.files[0].name in said.stdout


def test_verify_says_that_nobody_has_signed(run: Run, publish: Publish) -> None:
    publish()
    said = run("models", "verify", "1", "--json")
    findings = {finding["what"]: finding["ok"] for finding in json.loads(said.stdout)["findings"]}
    assert (said.exit_code, findings) == (1, {"files": True, "certificate": False})


def test_people_read_as_the_role_that_only_reads(run: Run, publish: Publish, place: Place) -> None:
    from petpark import models

    publish()
    target = place.target()
    models.standings(target)
    models.verify(target, 1)
    assert set(target.acted) == {"reader"}


def test_verify_finds_a_channel_that_names_other_bytes_by_the_same_number(
    run: Run, publish: Publish, place: Place
) -> None:
    version = publish()
    run("certify", "1", "--decision", "certified", "--note", "x")
    other = replace(version, lineage={"trained_by": "somebody"})
    Channel(place.buckets["models"], "pets", "prod").move(other, by="somebody", why="x")
    said = run("models", "verify", "1")
    assert said.exit_code == 1
    assert "names another digest" in said.stdout
