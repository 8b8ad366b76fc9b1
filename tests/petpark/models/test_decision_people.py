"""Who may certify, promote and roll back, and in which role."""

from __future__ import annotations

import json

import pytest

from petpark.models import decisions
from registry.errors import SelfCertified
from tests.petpark.conftest import ACCOUNT, Place, Run
from tests.petpark.models.decisions import Publish, certify, declare


def test_who_trained_a_version_does_not_sign_for_it_not_even_in_another_session(publish: Publish, place: Place) -> None:
    publish(trained_by=f"arn:aws:sts::{ACCOUNT}:assumed-role/certifier/somebody-else")
    with pytest.raises(SelfCertified):
        decisions.certify(place.target(), 1, decision="certified", note="mine is good")


def test_who_asked_for_a_training_does_not_sign_for_its_version(run: Run, publish: Publish) -> None:
    publish(requested_by=f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/vera")
    for decision in ("certified", "refused"):
        said = run("certify", "1", "--decision", decision, "--note", "mine")
        assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "SelfCertified")
    certify(run, 1, "revoked")


def test_prod_is_moved_by_somebody_else_than_who_certified(run: Run, publish: Publish, place: Place) -> None:
    publish()
    certify(run, 1)
    place.people["promoter"] = "vera"
    said = run("promote", "1", "--channel", "prod", "--why", "x")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "SamePerson")
    assert "Next: Ask another person to promote it." in said.stderr
    assert run("promote", "1", "--channel", "test", "--why", "x").exit_code == 0
    place.people["promoter"] = "mia"
    assert run("promote", "1", "--channel", "prod", "--why", "x").exit_code == 0


def test_a_channel_with_movers_is_moved_by_nobody_else(run: Run, publish: Publish, place: Place) -> None:
    publish()
    declare(place, "test", certificate=False, two_people=False, movers=["rosa"])
    said = run("promote", "1", "--channel", "test", "--why", "x")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "MoverRefused")
    assert "rosa" in said.stderr


def test_a_certificate_says_who_may_go_on_with_it(run: Run, publish: Publish, place: Place) -> None:
    publish()
    words = ("certify", "1", "--decision", "certified", "--note", "x")
    assert "next, for prod  every promoter except vera may promote it" in run(*words).stdout
    declare(place, "prod", movers=["vera", "mia"])
    assert "next, for prod  mia may promote it" in run(*words).stdout
    told = json.loads(run(*words, "--json").stdout)["may_promote"]
    assert told == [{"channel": "prod", "but": "vera", "movers": ["mia"]}]
    declare(place, "prod", movers=["vera"])
    assert "no person may promote it" in run(*words).stdout
    assert "next" not in run("certify", "1", "--decision", "refused", "--note", "x").stdout


def test_every_decision_is_taken_in_the_role_that_is_made_for_it(publish: Publish, place: Place) -> None:
    publish()
    certifying, promoting = place.target(), place.target()
    decisions.certify(certifying, 1, decision="certified", note="x")
    decisions.promote(promoting, 1, channel="prod", why="x")
    assert set(certifying.acted) == {"certifier"}
    assert set(promoting.acted) == {"promoter"}
