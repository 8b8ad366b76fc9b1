"""`petpark costs`: the sum of a stack's parts, and what to do where it cannot be known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from petpark.__main__ import app
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
    assert facts["month"] == pytest.approx(sum(facts["items"].values()), abs=0.05)
    assert facts["region"]
    assert facts["read"]
    table = run(tmp_path, monkeypatch=monkeypatch).stdout
    assert f"list prices for {facts['region']} in {facts['read']}" in table
    assert f"{facts['training_hour']:.2f}" in table


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"endpoint_instance_type": "m7i.large"}, "no price for m7i.large"), ({"clients": "all"}, "petpark:clients")],
)
def test_what_cannot_be_priced_is_one_sentence_with_where_to_change_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], said: str
) -> None:
    ended = run(settings(tmp_path, "test", **changes), monkeypatch=monkeypatch)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert "Edit Pulumi.test.yaml" in ended.stderr
