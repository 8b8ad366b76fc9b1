"""`petpark costs`: the sum of a stack's parts, instance types for a need, and what to do where there is no price."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from petpark.commands.operations import costs
from tests.petpark.account.fake_account import settings


def run(root: Path, *words: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    (root / "Pulumi.yaml").touch()
    monkeypatch.chdir(root)
    return CliRunner().invoke(app, ["costs", *words])


def test_the_parts_make_the_sum_and_the_prices_have_a_place_and_a_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run(settings(tmp_path, "test"), "--json", monkeypatch=monkeypatch)
    facts = json.loads(said.stdout)
    assert facts["month"] == pytest.approx(sum(item["month"] for item in facts["items"]), abs=0.1)
    assert facts["month"] == pytest.approx(sum(facts["components"].values()), abs=0.02)
    assert facts["region"] == "eu-west-1"
    assert date.fromisoformat(facts["prices_of"]) < date(2026, 12, 1)
    table = run(tmp_path, monkeypatch=monkeypatch).stdout
    assert "List prices of eu-west-1" in table
    assert f"{facts['training_hour']:.2f}" in table
    assert all(item["assumption"] in table for item in facts["items"])


@pytest.mark.parametrize(("today", "warned"), [(date(2026, 2, 1), False), (date(2027, 2, 1), True)])
def test_the_age_of_the_prices_is_told_and_old_ones_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, today: date, warned: bool
) -> None:
    monkeypatch.setattr(costs, "_today", lambda: today)
    said = run(settings(tmp_path, "test"), monkeypatch=monkeypatch).stdout
    assert "days old" in said
    assert ("Warning: prices older than 180 days" in said) == warned


def test_another_regions_prices_can_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(settings(tmp_path, "test"), "--json", "--region", "us-east-1", monkeypatch=monkeypatch)
    facts = json.loads(said.stdout)
    assert facts["region"] == "us-east-1"
    assert facts["items"][0]["month"] == pytest.approx(730 * 0.08925, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "words", "said", "way"),
    [
        (
            {"endpoint_instance_type": "x2gd.large"},
            (),
            "no price for x2gd.large in eu-west-1",
            "petpark prices refresh",
        ),
        ({}, ("--region", "sa-east-1"), "no prices for sa-east-1", "petpark prices refresh"),
        ({"clients": "all"}, (), "petpark:clients", "Edit Pulumi.test.yaml"),
    ],
)
def test_what_cannot_be_priced_is_one_sentence_with_where_to_change_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    words: tuple[str, ...],
    said: str,
    way: str,
) -> None:
    ended = run(settings(tmp_path, "test", **changes), *words, monkeypatch=monkeypatch)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert way in ended.stderr


NEED = "24 GB of GPU memory, 8 vCPU, at most 1.5 USD/h"


def test_types_for_a_need_are_listed_in_the_stacks_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(settings(tmp_path, "test"), "--need", NEED, monkeypatch=monkeypatch)
    assert said.exit_code == 0
    assert "g5.2xlarge" in said.stdout
    assert "eu-west-1" in said.stdout


def test_types_for_a_need_take_no_checkout_where_the_region_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["costs", "--json", "--region", "us-east-1", "--need", NEED])
    assert [each["name"] for each in json.loads(said.stdout)["choices"]] == ["g6.2xlarge", "g5.2xlarge", "g6.4xlarge"]


def test_a_need_that_nothing_satisfies_ends_with_1_and_names_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run(settings(tmp_path, "test"), "--need", "80 GB of GPU memory", monkeypatch=monkeypatch)
    assert said.exit_code == 1
    assert "nearest misses" in said.stdout
    assert "not 80" in said.stdout


def test_a_need_that_is_not_understood_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(settings(tmp_path, "test"), "--need", "something big", monkeypatch=monkeypatch)
    assert said.exit_code == 2
    assert "something big" in said.stderr
