"""Certify, promote, roll back."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from petpark.models import decisions, model_versions
from registry.certificates.certificate import Certificates
from registry.channel_policy import STRICT
from registry.channels.channel import Channel
from registry.encoding import parse_time
from registry.errors import NotCertified
from tests.petpark.conftest import ACCOUNT, Place, Run
from tests.petpark.models.decisions import Publish, certify, declare


def test_prod_takes_a_version_only_after_somebody_signed_for_it(run: Run, publish: Publish) -> None:
    publish()
    refused = run("promote", "1", "--channel", "prod", "--why", "because")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("NotCertified: ")
    assert "petpark certify" in refused.stderr
    certify(run, 1)
    moved = run("promote", "1", "--channel", "prod", "--why", "because", "--json")
    assert moved.exit_code == 0
    assert json.loads(moved.stdout)["version"] == 1


def test_test_takes_an_uncertified_version_for_that_is_where_it_is_tried(run: Run, publish: Publish) -> None:
    publish()
    assert run("promote", "1", "--channel", "test", "--why", "to try it").exit_code == 0


def test_a_refused_version_does_not_reach_prod(run: Run, publish: Publish) -> None:
    publish()
    certify(run, 1, "refused")
    assert run("promote", "1", "--channel", "prod", "--why", "anyway").exit_code == 1


def test_wherever_a_version_is_taken_the_beginning_of_its_digest_will_do(run: Run, publish: Publish) -> None:
    first, second = (f"sha256:{publish().digest.removeprefix('sha256:')[:8]}" for _ in range(2))
    for words in (
        ("certify", first, "--decision", "certified", "--note", "looked"),
        ("promote", first, "--channel", "test", "--why", "x"),
        ("experiment", "start", second, "--channel", "test", "--why", "x"),
        ("promote", second, "--channel", "test", "--why", "x"),
        ("rollback", "--channel", "test", "--to", first, "--why", "x"),
        ("models", "diff", first, second),
    ):
        said = run(*words)
        assert said.exit_code == 0, (words, said.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ("certify", "{}", "--decision", "certified", "--note", "looked"),
        ("promote", "{}", "--channel", "test", "--why", "x"),
        ("experiment", "start", "{}", "--channel", "test", "--why", "x"),
        ("rollback", "--channel", "test", "--to", "{}", "--why", "x"),
        ("models", "diff", "{}", "1"),
        ("test", "photos", "--version", "{}"),
    ],
)
def test_a_beginning_that_several_versions_have_is_refused_with_all_of_them(
    run: Run, publish: Publish, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], place: Place
) -> None:
    monkeypatch.setattr(
        model_versions, "_BEGINNING", re.compile(r"sha256:[0-9a-f]+")
    )  # of 17, two begin with the same digit
    seen: dict[str, list[str]] = {}
    for _ in range(17):
        digest = publish().digest
        seen.setdefault(digest.removeprefix("sha256:")[0], []).append(digest)
    digit, several = next((digit, digests) for digit, digests in seen.items() if len(digests) > 1)
    said = run(*(word.format(f"sha256:{digit}") for word in words))
    assert (said.exit_code, said.stderr.startswith("IdAmbiguous: ")) == (2, True)
    assert all(digest in said.stderr for digest in several)
    before = [key for key in place.buckets["models"].keys("pets/") if "/versions/" not in key and "/blobs/" not in key]
    assert before == []


@pytest.mark.parametrize("named", ["0", "-1", "abc", "sha256:", "xyzq1234"])
def test_what_can_be_no_version_is_bad_usage(run: Run, publish: Publish, named: str) -> None:
    publish()
    assert run("promote", "--channel", "test", "--why", "x", "--", named).exit_code == 2


def test_a_version_that_does_not_exist_is_named(run: Run) -> None:
    said = run("promote", "7", "--channel", "test", "--why", "x")
    assert (said.exit_code, "version 7 of pets" in said.stderr) == (1, True)


def test_a_roll_back_restores_the_version_before_and_says_who_asked(run: Run, publish: Publish, place: Place) -> None:
    for number in (1, 2):
        publish()
        certify(run, number)
        assert run("promote", str(number), "--channel", "prod", "--why", "new").exit_code == 0
    back = run("rollback", "--channel", "prod", "--why", "misses cats", "--json")
    assert back.exit_code == 0
    told = json.loads(back.stdout)
    assert (told["version"], told["previous"], told["why"]) == (1, 2, "misses cats")
    assert told["by"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/promoter/mia"
    head = Channel(place.buckets["models"], "pets", "prod").head()
    assert head is not None
    assert head.version == 1


def test_nobody_rolls_back_to_a_version_whose_certificate_was_revoked(run: Run, publish: Publish) -> None:
    for number in (1, 2):
        publish()
        certify(run, number)
        run("promote", str(number), "--channel", "prod", "--why", "new")
    certify(run, 1, "revoked")
    said = run("rollback", "--channel", "prod", "--why", "x")
    assert (said.exit_code, said.stderr.startswith("NotCertified: ")) == (1, True)


def test_gates_that_a_version_failed_are_named_one_by_one_or_nothing_is_signed(
    run: Run, place: Place, publish: Publish
) -> None:
    publish(gates={"accuracy": 0.0, "recall": 1.0, "luck": 0.0})
    for named in ([], ["accuracy"], ["accuracy", "luck", "recall"], ["acuracy", "luck"]):
        options = [word for name in named for word in ("--despite", name)]
        said = run("certify", "1", "--decision", "certified", "--note", "x", *options)
        assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "GatesNotNamed")
        assert "accuracy (failed), luck (failed)" in " ".join(said.stderr.split())
        assert "--despite accuracy --despite luck" in " ".join(said.stderr.split())
    options = ["--despite", "luck", "--despite", "accuracy"]
    told = json.loads(run("certify", "1", "--decision", "certified", "--note", "x", *options, "--json").stdout)
    assert told["despite"] == ["accuracy", "luck"]
    (certificate,) = Certificates(place.buckets["models"], "pets").of(place.catalog.version(1))
    assert certificate.despite == ("accuracy", "luck")
    assert run("certify", "1", "--decision", "refused", "--note", "x").exit_code == 0, "a refusal names nothing"


def test_a_version_that_was_never_judged_is_certified_only_by_saying_so(run: Run, publish: Publish) -> None:
    publish(gates={})
    assert run("certify", "1", "--decision", "certified", "--note", "x").exit_code == 1
    assert run("certify", "1", "--decision", "certified", "--note", "x", "--despite", "all").exit_code == 0


def test_a_certificate_is_valid_for_no_longer_than_the_stack_allows(run: Run, place: Place, publish: Publish) -> None:
    publish()
    for exported in place.exported.values():
        exported["certificate_days"] = 30.0
    said = run("certify", "1", "--decision", "certified", "--note", "x", "--days", "31")
    assert "CertificateTooLong" in said.stderr
    assert "petpark:certificate_days" in " ".join(said.stderr.split())
    told = json.loads(run("certify", "1", "--decision", "certified", "--note", "x", "--json").stdout)
    assert parse_time(told["expires_at"]) - parse_time(told["at"]) <= timedelta(days=30, seconds=1)


@pytest.mark.parametrize("decision", ["revoked", "refused"])
def test_what_is_in_force_is_not_forbidden_before_somebody_read_what_happens(
    run: Run, publish: Publish, place: Place, decision: str
) -> None:
    publish()
    certify(run, 1)
    assert run("promote", "1", "--channel", "prod", "--why", "x").exit_code == 0
    assert run("promote", "1", "--channel", "test", "--why", "x").exit_code == 0
    said = run("certify", "1", "--decision", decision, "--note", "eats memory")
    assert said.exit_code != 0
    told = " ".join(said.stderr.split())
    assert "prod has no other certified version to go back to: its endpoints answer 503" in told
    assert "test requires no certificate: its endpoints continue to serve version 1" in told
    assert "ConfirmationNeeded" in told
    assert len(Certificates(place.buckets["models"], "pets").of(place.catalog.version(1))) == 1
    assert run("certify", "1", "--decision", decision, "--note", "eats memory", "--yes").exit_code == 0


def test_a_revocation_says_what_endpoints_go_back_to_and_how_to_move_the_channel(run: Run, publish: Publish) -> None:
    for number in (1, 2, 3):
        publish()
        certify(run, number)
        assert run("promote", str(number), "--channel", "prod", "--why", "x").exit_code == 0
    certify(run, 2, "revoked")
    said = run("certify", "3", "--decision", "revoked", "--note", "x", "--yes")
    told = " ".join(said.stderr.split())
    assert "Endpoints that follow prod go back to version 1 at their next poll" in told
    assert 'petpark rollback --channel prod --why "…"' in told


def test_a_revoked_version_comes_into_force_nowhere_not_even_where_no_certificate_is_asked_for(
    run: Run, publish: Publish
) -> None:
    publish()
    certify(run, 1, "revoked")
    said = run("promote", "1", "--channel", "test", "--why", "x")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "NotCertified")


def test_there_must_be_something_to_roll_back_to(run: Run) -> None:
    said = run("rollback", "--channel", "prod", "--why", "x", "--json")
    assert said.exit_code == 1
    assert json.loads(said.stdout)["error"]["outcome"] == "NothingToRollBackTo"


def test_a_certificate_names_the_report_it_rests_on(run: Run, publish: Publish, tmp_path: Path) -> None:
    version = publish()
    own = next(file.sha256 for file in version.files if file.name == "report.html")
    told = json.loads(run("certify", "1", "--decision", "certified", "--note", "x", "--json").stdout)
    assert told["report_sha256"] == own
    report = tmp_path / "acceptance.html"
    report.write_bytes(b"400 frames")
    told = json.loads(
        run("certify", "1", "--decision", "certified", "--note", "x", "--report", str(report), "--json").stdout
    )
    assert told["report_sha256"] == hashlib.sha256(b"400 frames").hexdigest()


@pytest.mark.parametrize("options", [[], ["--report", "nowhere.html"]])
def test_without_a_report_there_is_nothing_to_sign(run: Run, publish: Publish, options: list[str]) -> None:
    publish(report=False)
    said = run("certify", "1", "--decision", "certified", "--note", "x", *options)
    assert (said.exit_code, said.stderr.startswith("ReportMissing: ")) == (1, True)


def test_a_channel_with_a_metric_takes_no_worse_version(run: Run, publish: Publish, place: Place) -> None:
    publish()
    publish()
    declare(place, "test", certificate=False, two_people=False, metric="accuracy")
    assert run("promote", "2", "--channel", "test", "--why", "x").exit_code == 0
    said = run("promote", "1", "--channel", "test", "--why", "x")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "MetricBelow")
    assert run("rollback", "--channel", "test", "--why", "x").stderr.startswith("NothingToRollBackTo")


def test_a_channel_that_no_stack_declares_has_the_strictest_rule_and_says_so(
    run: Run, publish: Publish, place: Place
) -> None:
    publish()
    refused = run("promote", "1", "--channel", "canary", "--why", "x", "--create-channel")
    assert (refused.exit_code, refused.stderr.partition(":")[0]) == (1, "NotCertified")
    certify(run, 1)
    moved = run("promote", "1", "--channel", "canary", "--why", "x", "--create-channel")
    assert "than the certifier, all gates passed (no stack declares the channel)" in moved.stdout
    told = json.loads(run("promote", "1", "--channel", "canary", "--why", "x", "--json").stdout)
    assert told["rule"] == {**STRICT.to_dict(), "declared": False}


def test_a_mistyped_channel_is_refused_and_leaves_nothing_behind(run: Run, publish: Publish, place: Place) -> None:
    publish()
    certify(run, 1)
    said = run("promote", "1", "--channel", "prdo", "--why", "release 1")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "ChannelUnknown")
    assert "prod, test" in said.stderr
    assert "--create-channel" in said.stderr
    assert not [key for key in place.buckets["models"].keys("pets/") if "prdo" in key]


def test_a_channel_that_has_begun_needs_no_further_permission(run: Run, publish: Publish) -> None:
    publish()
    certify(run, 1)
    assert run("promote", "1", "--channel", "canary", "--why", "to begin", "--create-channel").exit_code == 0
    assert run("promote", "1", "--channel", "canary", "--why", "again").exit_code == 0


@pytest.mark.parametrize("blank", ["", "  ", "\t\n", "bl\udcfc"])
def test_every_decision_says_why(run: Run, publish: Publish, place: Place, blank: str) -> None:
    publish()
    publish()
    certify(run, 2)
    for version in ("1", "2"):
        assert run("promote", version, "--channel", "test", "--why", "to try it").exit_code == 0
    before = {bucket: set(store.keys("")) for bucket, store in place.buckets.items()}
    for words in (
        ("certify", "1", "--decision", "certified", "--note", blank),
        ("certify", "1", "--decision", "revoked", "--note", blank),
        ("promote", "1", "--channel", "test", "--why", blank),
        ("rollback", "--channel", "test", "--why", blank),
        ("experiment", "start", "1", "--channel", "test", "--mode", "shadow", "--why", blank),
    ):
        said = run(*words)
        assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "ReasonMissing"), words
    assert {bucket: set(store.keys("")) for bucket, store in place.buckets.items()} == before


def test_a_roll_back_says_why_what_comes_back_had_left_and_a_second_one_does_not_undo_it(
    run: Run, publish: Publish
) -> None:
    for version, why in (("1", "first"), ("2", "night photos"), ("1", "day again")):
        if int(version) > 1 or why == "first":
            publish()
        assert run("promote", version, "--channel", "test", "--why", why).exit_code == 0
    back = run("rollback", "--channel", "test", "--why", "misses cats")
    assert (back.exit_code, "had left" in back.stdout, "day again" in back.stdout) == (0, True, True)
    second = run("rollback", "--channel", "test", "--why", "in a hurry")
    assert (second.exit_code, second.stderr.partition(":")[0]) == (1, "RolledBackBefore")
    assert "misses cats" in second.stderr
    told = json.loads(run("rollback", "--channel", "test", "--why", "meant so", "--yes", "--json").stdout)
    assert (told["version"], told["left"]["why"]) == (1, "misses cats")


def test_a_revocation_needs_no_report(run: Run, publish: Publish) -> None:
    publish(report=False)
    told = json.loads(run("certify", "1", "--decision", "revoked", "--note", "dangerous", "--json").stdout)
    assert told["report_sha256"] is None


def test_a_certificate_ends(publish: Publish, place: Place) -> None:
    publish()
    decisions.certify(
        place.target(), 1, decision="certified", note="x", days=30, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC)
    )
    promote = partial(decisions.promote, place.target(), 1, channel="prod", why="x")
    with pytest.raises(NotCertified, match="expired"):
        promote(clock=lambda: datetime(2026, 2, 1, tzinfo=UTC))
    promote(clock=lambda: datetime(2026, 1, 30, tzinfo=UTC))


def test_a_refusal_and_a_revocation_hold_for_good(run: Run, publish: Publish) -> None:
    publish()
    for decision in ("refused", "revoked"):
        said = run("certify", "1", "--decision", decision, "--note", "x", "--json")
        assert json.loads(said.stdout)["expires_at"] is None
