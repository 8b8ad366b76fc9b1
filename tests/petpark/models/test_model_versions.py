"""The registry as operators see it: versions, and what can be asked about one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, override

import pytest

from petpark.models import decisions, model_versions
from petpark.models.model_versions import Validity, judge
from registry.certificates.certificate import Certificate, Certificates, Decision
from registry.channels.channel import Channel
from registry.errors import NotCertified
from registry.layout.model_store import blob_key, certificate_key, channel_entry_key, version_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import Place, Run
from tests.registry.memory_keys import MemorySigner

type Publish = Callable[..., Version]

NOW = datetime(2026, 8, 1, tzinfo=UTC)


def certify(run: Run, version: int, decision: str = "certified") -> None:
    assert run("certify", str(version), "--decision", decision, "--note", "looked").exit_code == 0


def promote(run: Run, version: int, channel: str) -> None:
    assert run("promote", str(version), "--channel", channel, "--why", "because").exit_code == 0


# --- list ----------------------------------------------------------------------------------------------------------


def test_an_empty_registry_says_how_it_gets_a_version(run: Run) -> None:
    assert "petpark train" in run("models", "list").stdout
    assert json.loads(run("models", "list", "--json").stdout) == {
        "total": 0,
        "versions": [],
        "channels": {},
        "problems": {},
    }


def test_the_list_shows_the_newest_first_with_its_decision_and_its_channels(run: Run, publish: Publish) -> None:
    publish()
    publish()
    certify(run, 1)
    promote(run, 1, "prod")
    promote(run, 2, "test")
    told = json.loads(run("models", "list", "--json").stdout)
    assert [(v["number"], v["decision"], v["channels"]) for v in told["versions"]] == [
        (2, "none", ["test"]),
        (1, "certified", ["prod"]),
    ]
    assert {name: move["version"] for name, move in told["channels"].items()} == {"prod": 1, "test": 2}
    rows = run("models", "list").stdout.splitlines()
    assert rows[1].split()[0] == "2"
    assert "92.0 %" in rows[1]
    assert [row.split()[:2] for row in rows[-2:]] == [["prod", "1"], ["test", "2"]]


class CountingStore(MemoryStore):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    @override
    def get(self, key: str) -> bytes:
        self.read.append(key)
        return super().get(key)

    @override
    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        self.read.append(f"list {prefix}")
        return super().keys(prefix, after=after)


def test_the_list_reads_no_more_versions_than_it_shows(run: Run, publish: Publish, place: Place) -> None:
    store = place.buckets["models"] = CountingStore()
    for _ in range(25):
        publish()
    promote(run, 1, "test")
    store.read.clear()
    told = json.loads(run("models", "list", "--json").stdout)
    assert ([v["number"] for v in told["versions"]], told["total"]) == (list(range(25, 5, -1)), 25)
    assert sum("/versions/" in key and "list" not in key for key in store.read) == 20
    few = json.loads(run("models", "list", "--last", "3", "--json").stdout)
    assert ([v["number"] for v in few["versions"]], few["channels"]["test"]["version"]) == ([25, 24, 23], 1)
    assert len(json.loads(run("models", "list", "--all", "--json").stdout)["versions"]) == 25


def test_channels_are_found_without_listing_their_histories(place: Place, publish: Publish) -> None:
    version = publish()
    store = place.buckets["models"]
    for name in ("prod", "prod-2", "prod0", "test"):
        for _ in range(3):
            Channel(store, "pets", name).move(version, by="mia", why="x")
    store.create("pets/channels/readme.txt", b"left here by somebody")
    store.create("pets/channels/No Name/1.json", b"left here by somebody")
    counting = place.buckets["models"] = CountingStore()
    for key in store.keys(""):
        counting.create(key, store.get(key))
    assert model_versions.channels(place.target()) == ["prod", "prod-2", "prod0", "test"]
    assert len(counting.read) == 7


# --- show ----------------------------------------------------------------------------------------------------------


def test_show_tells_everything_about_one_version(run: Run, publish: Publish) -> None:
    version = publish()
    shown = run("models", "show", "1").stdout
    assert version.digest in shown
    assert "model.onnx" in shown
    told = json.loads(run("models", "show", "1", "--json").stdout)
    assert told["digest"] == version.digest
    assert run("models", "show", "2").exit_code == 1


def test_show_says_how_to_read_on(run: Run, publish: Publish) -> None:
    publish()
    publish(report=False)
    shown = run("models", "show", "1").stdout
    assert "petpark models report 1" in shown
    assert "petpark models lineage 1" in shown
    assert json.loads(run("models", "show", "1", "--json").stdout)["next"]["report"] == "petpark models report 1"
    assert "report" not in json.loads(run("models", "show", "2", "--json").stdout)["next"]


def test_show_says_what_each_decision_is_worth_by_whom_and_on_which_report(
    run: Run, publish: Publish, place: Place
) -> None:
    version = publish()
    certify(run, 1)
    certify(run, 1, "revoked")
    Certificates(place.buckets["models"], "pets").sign(
        version,
        decision="certified",
        signer=MemorySigner(),
        by="mallory",
        report_sha256=None,
        expires_at=datetime.now(UTC) + timedelta(days=1),
        note="trust me",
    )
    told = json.loads(run("models", "show", "1", "--json").stdout)
    assert told["decision"] == "revoked"
    assert [each["validity"] for each in told["certificates"]] == ["revoked", "in force", "not valid"]
    report = next(file["sha256"] for file in told["files"] if file["name"] == "report.html")
    assert [each.get("report_sha256") for each in told["certificates"]] == [report, report, None]
    assert told["certificates"][2]["problem"]["reason"] == "unknown key"
    shown = run("models", "show", "1").stdout
    assert "certified by vera" in shown
    assert "revoked by vera" in shown
    assert report[:12] in shown
    assert "not valid: entry 3: signed by" in shown
    assert "mallory" not in shown


def test_an_entry_that_cannot_be_read_does_not_hide_the_others(run: Run, publish: Publish, place: Place) -> None:
    publish()
    place.buckets["models"].create(certificate_key("pets", 1, 1), b"{}")
    certify(run, 1)
    place.buckets["models"].create(certificate_key("pets", 1, 99), b"far off")
    told = json.loads(run("models", "show", "1", "--json").stdout)
    assert [(each["number"], each["validity"]) for each in told["certificates"]] == [
        (1, "not valid"),
        (2, "in force"),
        (99, "not valid"),
    ]
    assert told["decision"] == "certified"


def certificate(decision: Decision, *, days: int = 30) -> Certificate:
    ends = (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Certificate(
        model="pets",
        version=1,
        digest="sha256:" + "0" * 64,
        number=1,
        decision=decision,
        by="vera",
        at="2026-07-01T00:00:00.000000Z",
        expires_at=ends if decision == "certified" else None,
        report_sha256=None,
        note="",
    )


FORGED = NotCertified("pets version 1", reason="bad signature", actual="entry 1: not signed")
LOGS: list[tuple[list[Certificate | NotCertified], list[Validity]]] = [
    ([], []),
    ([certificate("certified")], [Validity.IN_FORCE]),
    ([certificate("certified", days=-1)], [Validity.EXPIRED]),
    ([certificate("certified", days=0)], [Validity.EXPIRED]),
    ([certificate("certified"), certificate("certified")], [Validity.SUPERSEDED, Validity.IN_FORCE]),
    ([certificate("certified"), certificate("revoked")], [Validity.REVOKED, Validity.IN_FORCE]),
    (
        [certificate("certified"), certificate("revoked"), certificate("certified")],
        [Validity.REVOKED, Validity.SUPERSEDED, Validity.IN_FORCE],
    ),
    ([certificate("refused"), certificate("certified")], [Validity.SUPERSEDED, Validity.IN_FORCE]),
    ([certificate("certified"), FORGED], [Validity.IN_FORCE, Validity.INVALID]),
    ([FORGED], [Validity.INVALID]),
]


@pytest.mark.parametrize(("entries", "validities"), LOGS)
def test_the_last_valid_decision_is_in_force_and_says_what_those_before_it_are(
    entries: list[Certificate | NotCertified], validities: list[Validity]
) -> None:
    judged = judge(dict(enumerate(entries, start=1)), at=NOW)
    assert [each.validity for each in judged] == validities
    assert [each.number for each in judged] == list(range(1, len(entries) + 1))


def test_a_certificate_that_ended_is_not_listed_as_certified(place: Place, publish: Publish) -> None:
    publish()
    decisions.certify(place.target(), 1, decision="certified", note="x", days=30, clock=lambda: NOW)
    (entry,) = model_versions.overview(place.target(), at=NOW + timedelta(days=29)).standings
    assert entry.decision == "certified"
    (entry,) = model_versions.overview(place.target(), at=NOW + timedelta(days=30)).standings
    assert entry.decision == "expired"


# --- verify --------------------------------------------------------------------------------------------------------


def findings(run: Run) -> tuple[int, dict[str, dict[str, Any]]]:
    said = run("models", "verify", "1", "--json")
    return said.exit_code, {finding["what"]: finding for finding in json.loads(said.stdout)["findings"]}


def test_verify_finds_a_certified_version_sound(run: Run, publish: Publish) -> None:
    publish()
    publish()
    certify(run, 1)
    promote(run, 1, "prod")
    promote(run, 2, "test")
    code, found = findings(run)
    assert (code, list(found)) == (0, ["files", "certificate", "channel prod"])
    assert "by vera" in run("models", "verify", "1").stdout


def test_verify_finds_one_changed_byte(run: Run, publish: Publish, place: Place) -> None:
    version = publish()
    certify(run, 1)
    place.replace(blob_key("pets", version.files[0].sha256), b"other")
    said = run("models", "verify", "1")
    assert said.exit_code == 1
    assert version.files[0].name in said.stdout
    _, found = findings(run)
    assert found["files"]["outcome"] == "FileCorrupted"
    assert found["files"]["next"]


def test_verify_says_that_nobody_has_signed(run: Run, publish: Publish) -> None:
    publish()
    code, found = findings(run)
    assert (code, {what: each["ok"] for what, each in found.items()}) == (1, {"files": True, "certificate": False})


def test_people_read_as_the_role_that_only_reads(run: Run, publish: Publish, place: Place, tmp_path: Path) -> None:
    publish()
    target = place.target()
    model_versions.overview(target)
    model_versions.standing(target, 1)
    model_versions.fetch_report(target, 1, tmp_path)
    model_versions.verify(target, 1)
    assert set(target.acted) == {"reader"}


def test_verify_finds_a_channel_that_names_other_bytes_by_the_same_number(
    run: Run, publish: Publish, place: Place
) -> None:
    version = publish()
    certify(run, 1)
    other = replace(version, lineage={"trained_by": "somebody"})
    Channel(place.buckets["models"], "pets", "prod").move(other, by="somebody", why="x")
    code, found = findings(run)
    assert (code, found["channel prod"]["outcome"]) == (1, "DigestMismatch")
    assert found["channel prod"]["actual"] == f"digest {other.digest}"


def test_verify_finds_a_channel_whose_history_is_broken_and_looks_at_the_rest(
    run: Run, publish: Publish, place: Place
) -> None:
    publish()
    certify(run, 1)
    for channel in ("prod", "test"):
        promote(run, 1, channel)
        promote(run, 1, channel)
    place.buckets["models"].delete(channel_entry_key("pets", "prod", 1))
    code, found = findings(run)
    assert code == 1
    assert [what for what, each in found.items() if not each["ok"]] == ["channel prod"]
    assert found["channel test"]["detail"] == "moves 1, 2: to this digest"


def test_a_version_is_known_by_the_beginning_of_its_digest(run: Run, place: Place, publish: Any) -> None:
    versions = [publish(), publish()]
    for version in versions:
        for named in (version.digest, version.digest[:19], version.digest.removeprefix("sha256:")[:40]):
            assert model_versions.resolve(place.target(), named) == version.number
    told = json.loads(run("models", "show", versions[1].digest[:19], "--json").stdout)
    assert told["number"] == 2
    assert run("models", "show", "sha256:" + "0" * 60).stderr.startswith("VersionUnknown: ")


def test_a_version_that_cannot_be_read_is_a_row_and_the_others_are_listed(run: Run, place: Place, publish: Any) -> None:
    for _ in range(3):
        publish()
    place.replace(version_key("pets", 2), b"junk")
    said = run("models", "list")
    assert said.exit_code == 0, said.output
    rows = [line.split()[:2] for line in said.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == ["3", "2", "1"]
    assert "unreadable" in said.stdout
    told = json.loads(run("models", "list", "--json").stdout)
    assert list(told["problems"]) == ["2"]
