"""How an endpoint follows its channel, and that it goes on answering meanwhile."""

import threading
from dataclasses import replace

import pytest

from registry.errors import HistoryBroken
from registry.layout.model_store import certificate_key, channel_entry_key
from registry.logs.repairs import Repairs
from tests.serving.held_request import held_request


def test_an_empty_channel_is_no_failure_and_its_first_move_is_followed(park, open_endpoint):
    endpoint = open_endpoint()
    assert endpoint.follow()
    assert endpoint.http.get("/healthz/live").status_code == 200
    assert endpoint.http.get("/healthz/ready").status_code == 503
    park.release(park.certified())
    endpoint.follow()
    assert endpoint.http.get("/healthz/ready").status_code == 200
    assert endpoint.in_force == 1


def test_a_late_endpoint_starts_with_the_last_entry(park, open_endpoint):
    for sharpness in (1.0, 2.0, 3.0):
        park.release(park.certified(sharpness=sharpness))
    endpoint = open_endpoint()
    endpoint.follow()
    assert (endpoint.in_force, endpoint.model()["entry"]) == (3, 3)
    assert endpoint.metric("petpark_swaps_total") == 1


def test_several_moves_between_two_polls_lead_to_the_last(endpoint, park):
    for sharpness in (1.0, 2.0):
        park.release(park.certified(sharpness=sharpness))
    endpoint.follow()
    assert endpoint.in_force == 3
    assert endpoint.metric("petpark_swaps_total") == 2


def test_what_is_served_is_stated_whole(endpoint, park):
    model = endpoint.model()
    assert model["digest"] == park.catalog.version(1).digest
    assert (model["name"], model["channel"], model["entry"], model["refused"]) == ("pets", "prod", 1, None)
    assert "by" not in model["certificate"], "names of people are for callers with a key"
    assert model["labels"] == ["cat", "dog"]
    assert endpoint.metric("petpark_model", name="pets", version="1", digest=model["digest"]) == 1


def test_the_next_good_move_ends_a_refusal(endpoint, park):
    park.release(park.publish(sharpness=2.0))
    endpoint.follow()
    park.release(park.certified(sharpness=3.0))
    endpoint.follow()
    assert endpoint.in_force == 3
    assert endpoint.refusal is None


def test_a_rollback_needs_no_download(endpoint, park, monkeypatch):
    park.release(park.certified(sharpness=2.0))
    endpoint.follow()
    monkeypatch.setattr(endpoint.catalog, "fetch", lambda *_: pytest.fail("downloaded again"))
    park.roll_back()
    assert endpoint.follow()
    assert (endpoint.in_force, endpoint.model()["entry"]) == (1, 3)


def test_a_rollback_to_a_version_that_was_revoked_since_is_refused(endpoint, park):
    first = park.catalog.version(1)
    park.release(park.certified(sharpness=2.0))
    endpoint.follow()
    park.revoke(first)
    park.roll_back()
    endpoint.follow()
    assert endpoint.refusal == (1, "NotCertified")
    assert endpoint.in_force == 2


def test_only_the_version_in_force_and_the_one_before_it_stay_in_memory(endpoint, park):
    for sharpness in (1.0, 2.0, 3.0):
        park.release(park.certified(sharpness=sharpness))
        endpoint.follow()
    assert [model.version.number for model in endpoint.rollout.kept] == [4, 3]


def test_a_store_that_is_away_changes_nothing_and_is_followed_again_when_it_is_back(endpoint, park):
    park.release(park.certified(sharpness=2.0))
    park.store.away = True
    for _ in range(3):
        assert not endpoint.follow()
    assert endpoint.answers == 1
    assert endpoint.http.get("/healthz/ready").status_code == 200
    assert endpoint.metric("petpark_store_errors_total") == 3
    park.store.away = False
    assert endpoint.follow()
    assert endpoint.in_force == 2


def test_a_store_that_breaks_off_in_the_middle_of_a_load_is_asked_again(endpoint, park, monkeypatch):
    park.release(park.certified(sharpness=2.0))
    fetch = endpoint.catalog.fetch

    def break_off(*arguments):
        park.store.away = True
        return fetch(*arguments)

    monkeypatch.setattr(endpoint.catalog, "fetch", break_off)
    assert not endpoint.follow()
    assert endpoint.refusal is None, "the version is not to blame"
    park.store.away = False
    monkeypatch.setattr(endpoint.catalog, "fetch", fetch)
    assert endpoint.follow()
    assert endpoint.in_force == 2


def test_a_rewritten_history_is_not_followed(endpoint, park):
    park.release(park.certified(sharpness=2.0))
    second = park.store.get(channel_entry_key("pets", "prod", 2))
    hash_before = park.channel.history()[1].previous_sha256
    park.store.damage(channel_entry_key("pets", "prod", 2), second.replace(hash_before.encode(), b"0" * 64))
    assert not endpoint.follow()
    assert endpoint.in_force == 1
    park.store.damage(channel_entry_key("pets", "prod", 2), second)
    assert endpoint.follow()
    assert endpoint.in_force == 2


def test_an_object_that_is_no_move_stops_nobody_and_is_counted(endpoint, park, open_endpoint):
    park.store.create(channel_entry_key("pets", "prod", 2), b"{}")
    park.store.create(channel_entry_key("pets", "prod", 3), b"<html>")
    assert endpoint.follow()
    assert endpoint.in_force == 1
    assert endpoint.metric("petpark_entries_passed_over") == 2
    assert endpoint.requests() == [channel_entry_key("pets", "prod", 4), certificate_key("pets", 1, 2)], (
        "a poll costs no more"
    )
    assert park.release(park.certified(sharpness=2.0)).number == 4
    for each in (endpoint, open_endpoint()):
        each.follow()
        assert each.in_force == 2


def test_a_move_that_breaks_the_chain_stops_running_and_new_endpoints_alike_until_it_is_repaired(
    endpoint, park, open_endpoint
):
    foreign = replace(park.channel.head(), number=2, previous_sha256="0" * 64, previous=1).to_bytes()
    park.store.create(channel_entry_key("pets", "prod", 2), foreign)
    new = open_endpoint()
    for each in (endpoint, new):
        assert not each.follow()
        assert each.in_force == 1
    with pytest.raises(HistoryBroken, match="petpark models repair"):
        park.release(park.certified(sharpness=2.0))
    Repairs(park.store, "pets").declare(
        channel_entry_key("pets", "prod", 2), foreign, problem="x", by="iris", why="a mistake"
    )
    assert park.release(park.certified(sharpness=3.0)).number == 3
    for each in (endpoint, new):
        assert each.follow()
        assert each.in_force == 3


def test_requests_under_way_end_on_the_version_they_began_with(endpoint, park, monkeypatch):
    """The old version is held inside a request while the channel moves on."""
    with held_request(endpoint, monkeypatch) as answers:
        park.release(park.certified(sharpness=2.0))
        endpoint.follow()
        assert endpoint.answers == 2
    assert answers[0].status_code == 200
    assert answers[0].json()["model"]["version"] == 1


def test_twenty_swaps_under_load_drop_nothing(endpoint, park):
    versions = {1: park.catalog.version(1)}
    for sharpness in (2.0, 3.0):
        version = park.certified(sharpness=sharpness)
        versions[version.number] = version
    stop = threading.Event()
    failures, seen, answered = [], [], threading.Semaphore(0)

    def hammer() -> None:
        while not stop.is_set():
            first = endpoint.live.deployed.move.number
            answer = endpoint.classify()
            last = endpoint.live.deployed.move.number
            if answer.status_code != 200:
                failures.append(answer.text)
                return
            model = answer.json()["model"]
            seen.append((first, model["version"], last))
            if model["digest"] != versions[model["version"]].digest:
                failures.append(model)
            answered.release()

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for index in range(20):
        park.release(versions[1 + (index + 1) % 3])
        assert endpoint.follow()
        for _ in threads:
            assert answered.acquire(timeout=30), failures
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not failures
    moves = {move.number: move.version for move in park.channel.history()}
    for first, version, last in seen:
        assert version in {moves[entry] for entry in range(first, last + 1)}
    assert endpoint.metric("petpark_swaps_total") == 21
    assert len({version for _, version, _ in seen}) > 1, "the load met more than one version"
