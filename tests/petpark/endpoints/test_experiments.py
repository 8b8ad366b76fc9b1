"""`petpark experiment`: begin one, hold what endpoints saw against the rule, and do what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from petpark.endpoints import experiments
from registry.certificates.certificate import Certificates
from registry.channels.channel import Channel, ChannelEntry
from registry.channels.experiment import Experiment, Experiments
from registry.channels.promotion import PromotionService
from registry.version import Version
from tests.petpark.conftest import Place, Run, Serve
from tests.petpark.endpoints.conftest import Publish, arm, head, judge, log, saw


def test_a_start_says_who_stands_beside_whom_and_how_it_is_decided(run: Run, versions: list[Version]) -> None:
    said = run("experiment", "start", "2", "--channel", "test", "--why", "night", "--share", "0.2")
    assert said.exit_code == 0
    assert "version 2" in said.stdout
    assert "shadow, 20%" in said.stdout


def test_a_winner_is_promoted_with_the_evidence_in_the_channels_entry(
    run: Run, place: Place, serve: Serve, begun: Experiment
) -> None:
    code, told = judge(run, place, serve(saw(begun, arm(5000), arm(5000))))
    assert (code, told["conclusion"]["outcome"], head(place)) == (0, "promoted", 2)
    assert told["move"]["why"].startswith("experiment 1 (canary): ")
    assert "errors" in told["move"]["why"]
    assert log(place).history()[-1].evidence.challenger.answers == 5000  # pyright: ignore[reportAttributeAccessIssue]


def test_a_challenger_that_does_harm_is_rejected_and_the_channel_stays(
    run: Run, place: Place, serve: Serve, begun: Experiment
) -> None:
    code, told = judge(run, place, serve(saw(begun, arm(5000), arm(50, failures=50))))
    assert (code, told["conclusion"]["outcome"], head(place)) == (1, "rejected", 1)


def test_what_is_not_sure_yet_goes_on(run: Run, place: Place, serve: Serve, begun: Experiment) -> None:
    code, told = judge(run, place, serve(saw(begun, arm(50), arm(50))))
    assert (code, told["conclusion"], told["judgement"]["ruling"]) == (0, None, "wait")
    assert log(place).head() == begun


def test_two_endpoints_are_added_up_and_one_that_is_asked_twice_is_counted_once(
    place: Place, serve: Serve, begun: Experiment
) -> None:
    place.exported["prod"]["endpoint"]["channel"] = "test"
    place.urls["test"] = serve(saw(begun, arm(10), arm(3), instance="i-1"))
    place.urls["prod"] = serve(saw(begun, arm(20), arm(4), instance="i-2"))
    seen = experiments.gather([place.target(stack="test"), place.target(stack="prod")], begun)
    assert (seen.evidence.champion.answers, seen.evidence.challenger.answers, seen.evidence.endpoints) == (30, 7, 2)


@pytest.mark.parametrize("told", [{"number": 7}, None])
def test_what_endpoints_say_of_another_experiment_or_of_none_is_no_evidence(
    run: Run, place: Place, serve: Serve, begun: Experiment, told: dict[str, Any] | None
) -> None:
    served = saw(begun, arm(9000), arm(9000))
    served["experiment"] = told and {**served["experiment"], **told}
    code, found = judge(run, place, serve(served))
    assert (code, found["conclusion"], found["evidence"]["endpoints"]) == (0, None, 0)


def test_an_endpoint_that_is_silent_is_named(run: Run, place: Place, begun: Experiment) -> None:
    code, told = judge(run, place, "http://127.0.0.1:1")
    assert (code, told["silent"]) == (0, ["instance"])


def test_an_endpoint_that_counts_otherwise_is_named_and_not_added(
    run: Run, place: Place, serve: Serve, begun: Experiment
) -> None:
    served = saw(begun, arm(9000), arm(9000), instance="i-old")
    served["experiment"]["evidence"] = {"answers": 9000}
    code, told = judge(run, place, serve(served))
    assert (code, told["silent"], told["conclusion"]) == (0, ["i-old"], None)


def test_a_channel_that_moved_ends_the_experiment(run: Run, place: Place, serve: Serve, begun: Experiment) -> None:
    run("rollback", "--channel", "test", "--why", "x")
    run("promote", "1", "--channel", "test", "--why", "again")
    code, told = judge(run, place, serve(saw(begun, arm(5000), arm(5000))))
    assert (code, told["conclusion"]["outcome"], head(place)) == (1, "stopped", 1)
    assert "the channel moved to version 1" in told["conclusion"]["reasons"][0]


def test_a_judge_that_died_after_the_promotion_is_completed_by_the_next(
    run: Run, place: Place, serve: Serve, begun: Experiment
) -> None:
    Channel(place.buckets["models"], "pets", "test").move(place.catalog.version(2), by="mia", why="experiment 1: won")
    code, told = judge(run, place, serve(saw(begun, arm(5000), arm(5000))))
    assert (code, told["conclusion"]["outcome"]) == (0, "promoted")
    assert len(Channel(place.buckets["models"], "pets", "test").history()) == 2


def test_a_version_that_somebody_promoted_later_by_hand_is_no_win(
    run: Run, place: Place, serve: Serve, begun: Experiment, publish: Publish
) -> None:
    publish()
    for version in ("3", "2"):
        assert run("promote", version, "--channel", "test", "--why", "by hand").exit_code == 0
    code, told = judge(run, place, serve(saw(begun, arm(5000), arm(5000))))
    assert (code, told["conclusion"]["outcome"]) == (1, "stopped")


def test_a_channel_that_moves_while_a_win_is_carried_out_is_not_moved_again(
    run: Run, place: Place, serve: Serve, begun: Experiment, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, usual = publish(), PromotionService.promote

    def promote(desk: PromotionService, number: int, **settings: Any) -> ChannelEntry:
        Channel(place.buckets["models"], "pets", "test").move(other, by="otto", why="meanwhile")
        return usual(desk, number, **settings)

    monkeypatch.setattr(PromotionService, "promote", promote)
    place.urls["test"] = serve(saw(begun, arm(5000), arm(5000)))
    said = run("experiment", "judge", "--channel", "test")
    assert (said.exit_code, said.stderr.startswith("ChannelMoved"), head(place)) == (1, True, 3)


def test_an_experiment_whose_time_is_over_ends_as_undecided(place: Place, serve: Serve, begun: Experiment) -> None:
    place.urls["test"] = serve(saw(begun, arm(50), arm(50)))
    later = datetime.now(UTC) + timedelta(days=3)
    found = experiments.look([place.target()], "test", clock=lambda: later)
    assert found.conclusion is not None
    assert found.conclusion.outcome == "undecided"


def test_a_win_that_the_channel_does_not_allow_leaves_everything_as_it_is(
    run: Run, place: Place, serve: Serve, begun: Experiment
) -> None:
    for exported in place.exported.values():
        exported["channels"]["test"] = {**exported["channels"]["test"], "movers": ["somebody-else"]}
    place.urls["test"] = serve(saw(begun, arm(5000), arm(5000)))
    said = run("experiment", "judge", "--channel", "test")
    assert (said.exit_code, said.stderr.startswith("MoverRefused")) == (1, True)
    assert (head(place), log(place).head()) == (1, begun)


def test_a_channel_that_wants_a_certificate_wants_one_before_callers_meet_the_version(
    run: Run, place: Place, versions: list[Version]
) -> None:
    said = run("experiment", "start", "2", "--channel", "prod", "--why", "x")
    assert (said.exit_code, said.stderr.startswith("NotCertified")) == (1, True)


def test_a_channel_that_never_moved_has_no_champion(run: Run, place: Place, publish: Publish) -> None:
    publish()
    said = run("experiment", "start", "1", "--channel", "test", "--why", "x")
    assert (said.exit_code, said.stderr.startswith("NoChampion")) == (1, True)


@pytest.mark.parametrize("what", ["the channel moves", "the challenger is revoked"])
def test_what_changes_while_an_experiment_is_begun_is_said(
    run: Run, place: Place, versions: list[Version], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    begin = Experiments.start

    def slowly(*args: Any, **how: Any) -> Experiment:
        begun = begin(*args, **how)
        if what == "the channel moves":
            Channel(place.buckets["models"], "pets", "test").move(versions[1], by="otto", why="in a hurry")
        else:
            Certificates(place.buckets["models"], "pets").sign(
                versions[1], decision="revoked", signer=place.key, by="vera", report_sha256=None, expires_at=None,
                note="bites",
            )  # fmt: skip
        return begun

    monkeypatch.setattr(Experiments, "start", slowly)
    said = run("experiment", "start", "2", "--channel", "test", "--why", "x")
    assert (said.exit_code, said.stderr.startswith("ExperimentVoid")) == (1, True)
    assert "petpark experiment stop" in said.stderr
    assert isinstance(log(place).head(), Experiment), "it was begun, and that is said, too"


def test_a_stop_keeps_what_was_seen_and_frees_the_channel(
    run: Run, place: Place, serve: Serve, begun: Experiment
) -> None:
    place.urls["test"] = serve(saw(begun, arm(7), arm(5)))
    assert run("experiment", "start", "2", "--channel", "test", "--why", "x").exit_code == 1
    assert run("experiment", "stop", "--channel", "test", "--why", "wrong one").exit_code == 0
    ended = log(place).history()[-1]
    assert ended.evidence.challenger.answers == 5  # pyright: ignore[reportAttributeAccessIssue]
    assert run("experiment", "stop", "--channel", "test", "--why", "again").exit_code == 1
    assert run("experiment", "start", "2", "--channel", "test", "--why", "x").exit_code == 0


def test_a_list_says_how_each_ended(run: Run, begun: Experiment) -> None:
    assert "runs" in run("experiment", "show", "--channel", "test").stdout
    run("experiment", "stop", "--channel", "test", "--why", "x")
    assert "stopped" in run("experiment", "show", "--channel", "test").stdout
    told = json.loads(run("experiment", "show", "--channel", "test", "--json").stdout)
    assert [entry["number"] for entry in told] == [1, 2]


@pytest.mark.parametrize("wrong", [("--share", "0"), ("--share", "2"), ("--errors", "-1"), ("--least", "0")])
def test_settings_that_make_no_sense_are_refused_before_anything_is_written(
    run: Run, place: Place, versions: list[Version], wrong: tuple[str, str]
) -> None:
    assert run("experiment", "start", "2", "--channel", "test", "--why", "x", *wrong).exit_code == 2
    assert log(place).head() is None


def test_the_rule_that_was_stated_is_the_rule_that_is_held(run: Run, place: Place, begun: Experiment) -> None:
    assert begun.rule.least == 100
    assert replace(begun.rule, least=500) == type(begun.rule)()


def test_an_arm_without_answers_shows_no_figure_for_its_time(run: Run, place: Place, begun: Experiment) -> None:
    said = run("experiment", "judge", "--channel", "test", "--json")
    assert json.loads(said.stdout)["mean_milliseconds"] == {"champion": None, "challenger": None}
    shown = " ".join(run("experiment", "judge", "--channel", "test").stdout.split())
    assert "champion no answers yet, 0 failed; challenger no answers yet, 0 failed" in shown
    assert " ms" not in shown
