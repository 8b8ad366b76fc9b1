"""A machine that will be taken away says so by SIGTERM or through its metadata service."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.training.imds import Imds, serving
from training.instance import interruption as watched
from training.instance.interruption import NOTICE_PATH, REBALANCE_PATH, Interruption, spot_notice

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def metadata() -> Iterator[Imds]:
    with serving() as server:
        yield server


def test_sigterm_is_a_notice_and_the_former_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with Interruption(NOWHERE) as interruption:
        assert not interruption.noticed()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.wait(60)
        assert interruption.reason == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_spot_notice_is_noticed(metadata: Imds):
    with Interruption(metadata.url, poll_seconds=0.01) as interruption:
        assert metadata.asked.wait(60)
        assert not interruption.noticed()
        metadata.facts = {NOTICE_PATH: '{"action": "terminate", "time": "2026-03-01T21:04:05Z"}'}
        assert interruption.wait(60)
        assert interruption.reason == "spot notice: terminate"


def test_a_rebalance_recommendation_counts_for_who_asks_for_it(metadata: Imds):
    metadata.facts = {REBALANCE_PATH: '{"noticeTime": "2026-03-01T21:04:05Z"}'}
    with Interruption(metadata.url, poll_seconds=0.01, rebalance=True) as interruption:
        assert interruption.wait(60)
        assert interruption.reason == "rebalance recommendation of 2026-03-01T21:04:05Z"
    with Interruption(metadata.url, poll_seconds=0.01) as interruption:
        metadata.asked.clear()
        assert metadata.asked.wait(60)
        assert not interruption.noticed()


def test_without_a_notice_the_service_says_none(metadata: Imds):
    assert spot_notice(metadata.url) is None


def test_where_no_service_answers_the_watch_ends_by_itself():
    with Interruption(NOWHERE, poll_seconds=0.001) as interruption:
        interruption._watcher.join(60)
        assert not interruption._watcher.is_alive()
        assert not interruption.noticed()


@given(st.lists(st.booleans(), max_size=12))
@example([False])
@example([False, False, True, False, False])
@example([False, False, False])
@settings(max_examples=examples(40))
def test_only_three_failed_polls_in_a_row_end_the_watch(answers: list[bool]):
    """The instance metadata service may fail to answer now and then; where three polls in a row fail, there is none."""
    left = iter(answers)

    def poll(_endpoint: str) -> str | None:
        answered = next(left, None)
        if answered is False:
            raise OSError("no answer")
        return "terminate" if answered is None else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watched, "spot_notice", poll)
        with Interruption(NOWHERE, poll_seconds=0.0) as watch:
            watch._watcher.join(60)
            in_a_row = any(answers[n : n + 3] == [False] * 3 for n in range(len(answers)))
            assert watch.noticed() is not in_a_row


def test_the_endpoint_comes_from_the_environment(metadata: Imds, monkeypatch: pytest.MonkeyPatch):
    metadata.facts = {NOTICE_PATH: '{"action": "stop"}'}
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url + "/")
    with Interruption(poll_seconds=0.01) as interruption:
        assert interruption.wait(60)
        assert interruption.reason == "spot notice: stop"
