"""`petpark teardown`: stacks go when their last day has passed, and not a day before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from petpark.account.cloud import Account, Unchecked
from petpark.account.leftovers import Leftover
from petpark.delivery import teardown
from petpark.delivery.teardown import term
from petpark.errors import NotEmpty
from tests.petpark.account.fake_account import REGION, FakeAccount
from tests.petpark.delivery.conftest import Checkout

URN = "urn:pulumi:test::petpark::petpark:infra:Network$aws:ec2/vpc:Vpc::network-vpc"
TODAY = date.today()
OVER, TODAYS, LATER = (day.isoformat() for day in (TODAY - timedelta(1), TODAY, TODAY + timedelta(1)))
DAYS = st.dates().map(date.isoformat)


@given(
    st.lists(DAYS | st.none() | st.just("none") | st.text(max_size=12)), st.none() | DAYS | st.just("none"), st.dates()
)
def test_a_stack_goes_only_if_all_that_is_said_of_it_is_a_day_that_has_passed(
    tagged: list[str | None], settings: str | None, today: date
) -> None:
    said = [value for value in tagged if value is not None] + ([] if settings is None else [settings])
    if term(tagged, settings).over(today):
        assert [value for value in tagged if value is not None]
        assert all(date.fromisoformat(value) < today for value in said)


def test_the_last_day_is_still_a_day() -> None:
    assert not term([TODAYS], None).over(TODAY)
    assert term([OVER, None], OVER).over(TODAY)
    assert not term([OVER, LATER], None).over(TODAY)
    assert not term([], OVER).over(TODAY)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAccount]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with mock_aws():
        yield FakeAccount()


def make_vpc(aws: FakeAccount, stack: str, **more: str) -> None:
    tags = {"petpark:project": "petpark", "petpark:stack": stack, **more}
    specification = {"ResourceType": "vpc", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
    aws.client("ec2").create_vpc(CidrBlock="10.20.0.0/16", TagSpecifications=[specification])


def test_the_tags_of_a_stacks_own_resources_say_how_long_it_stays(aws: FakeAccount) -> None:
    make_vpc(aws, "ana", **{"petpark:expires": OVER})
    make_vpc(aws, "bo", **{"petpark:expires": LATER})
    make_vpc(aws, "test")
    account = Account(aws.session, REGION)
    found = {stack: teardown.term_of(account, stack, None).over(TODAY) for stack in ("ana", "bo", "test", "nobody")}
    assert found == {"ana": True, "bo": False, "test": False, "nobody": False}


@pytest.fixture
def expired(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """Stack test, whose last day has passed by its tags and its settings; nothing is left after it is destroyed."""
    file = checkout.root / "Pulumi.test.yaml"
    file.write_text(file.read_text().replace("petpark:expires: none", f"petpark:expires: '{OVER}'"))
    monkeypatch.setattr(teardown, "term_of", lambda _account, _stack, settings: term([OVER], settings))
    monkeypatch.setattr(teardown, "gather", lambda _account: ([], {}))
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    checkout.says(destroy={"events": [{"op": "delete", "urn": URN}]})
    return checkout


def test_a_stack_whose_time_is_over_is_destroyed_checked_and_removed(expired: Checkout) -> None:
    done = expired.run("teardown", "--stack", "test")
    assert done.exit_code == 0, done.output
    assert "1 resources deleted, nothing is left" in " ".join(done.output.split())
    assert len(expired.called("destroy")) == 1
    assert len(expired.called("rm")) == 1
    assert (expired.root / "Pulumi.test.yaml").exists()


def test_settings_that_were_reviewed_and_say_otherwise_keep_it(expired: Checkout) -> None:
    file = expired.root / "Pulumi.test.yaml"
    for other in ("none", LATER):
        file.write_text(file.read_text().replace(OVER, other))
        done = expired.run("teardown", "--stack", "test")
        assert done.exit_code == 0, done.output
        file.write_text(file.read_text().replace(f"'{other}'", f"'{OVER}'"))
    assert expired.called("destroy") == []


def test_a_dry_run_destroys_nothing(expired: Checkout) -> None:
    assert "stays until" in expired.run("teardown", "--stack", "test", "--dry-run").output
    assert expired.called("destroy") == []


def test_what_is_left_is_named_and_the_stack_stays_known(expired: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [Leftover(kind="bucket", name="lake", stack="test"), Leftover(kind="bucket", name="b", stack="prod")]
    monkeypatch.setattr(teardown, "gather", lambda _account: (left, {}))
    done = expired.run("teardown", "--stack", "test")
    assert done.exit_code == 1
    assert "bucket lake" in " ".join(done.output.split())
    assert expired.called("rm") == []


def test_what_could_not_be_looked_for_counts_as_left_and_what_goes_by_itself_does_not() -> None:
    goes: Any = [Leftover(kind="key", name="k", stack="test", goes="deleted on 2026-12-07")]
    teardown.require_empty("test", goes, {})
    with pytest.raises(NotEmpty, match="roles could not be checked"):
        teardown.require_empty("test", [], {"roles": Unchecked("denied")})
