"""What an endpoint puts into force, what it refuses, and that it goes on answering meanwhile."""

import json
import threading

import pytest

from registry.layout import move_key, version_key


def in_force(endpoint):
    return endpoint.model()["version"]


def refusal(endpoint):
    refused = endpoint.model()["refused"]
    return refused and (refused["version"], refused["reason"])


def test_an_empty_channel_is_no_failure_and_its_first_move_is_followed(park, open_endpoint):
    endpoint = open_endpoint()
    assert endpoint.follow()
    assert endpoint.http.get("/healthz/live").status_code == 200
    assert endpoint.http.get("/healthz/ready").status_code == 503
    park.release(park.certified())
    endpoint.follow()
    assert endpoint.http.get("/healthz/ready").status_code == 200
    assert in_force(endpoint) == 1


def test_a_late_endpoint_starts_with_the_last_entry(park, open_endpoint):
    for sharpness in (1.0, 2.0, 3.0):
        park.release(park.certified(sharpness=sharpness))
    endpoint = open_endpoint()
    endpoint.follow()
    assert (in_force(endpoint), endpoint.model()["entry"]) == (3, 3)
    assert endpoint.metric("petpark_swaps_total") == 1


def test_several_moves_between_two_polls_lead_to_the_last(endpoint, park):
    for sharpness in (1.0, 2.0):
        park.release(park.certified(sharpness=sharpness))
    endpoint.follow()
    assert in_force(endpoint) == 3
    assert endpoint.metric("petpark_swaps_total") == 2


def test_what_is_served_is_stated_whole(endpoint, park):
    model = endpoint.model()
    assert model["digest"] == park.catalog.version(1).digest
    assert (model["name"], model["channel"], model["entry"], model["refused"]) == ("pets", "prod", 1, None)
    assert model["certificate"]["by"] == "quinn"
    assert model["labels"] == ["cat", "dog"]
    assert endpoint.metric("petpark_model", name="pets", version="1", digest=model["digest"]) == 1


def uncertified(park):
    return park.publish(sharpness=2.0)


def refused_by_the_expert(park):
    version = park.publish(sharpness=2.0)
    park.certify(version, decision="refused")
    return version


def revoked(park):
    version = park.certified(sharpness=2.0)
    park.certify(version, decision="revoked")
    return version


def expired(park):
    version = park.publish(sharpness=2.0)
    park.certify(version, days=-1)
    return version


def with_a_tampered_model(park):
    version = park.certified(sharpness=2.0)
    park.spoil(version, "model.onnx", b"evil")
    return version


def with_a_lost_file(park):
    version = park.certified(sharpness=2.0)
    park.spoil(version, "probes/0.jpg", None)
    return version


def changed(park, change):
    version = park.publish(sharpness=2.0, change=change)
    park.certify(version)
    return version


def with_wrong_probes(park):
    def shift(files):
        probes = json.loads(files["probes.json"].read_text())
        probes[1]["probabilities"] = [
            value + shift for value, shift in zip(probes[1]["probabilities"], (0.002, -0.002), strict=True)
        ]
        files["probes.json"].write_text(json.dumps(probes))

    return changed(park, shift)


def with_probes_that_are_not_numbers(park):
    return changed(
        park, lambda files: files["probes.json"].write_text('[{"photo": "probes/0.jpg", "probabilities": [NaN, 1]}]')
    )


def without_probes(park):
    return changed(park, lambda files: files.pop("probes.json"))


def with_an_empty_list_of_probes(park):
    return changed(park, lambda files: files["probes.json"].write_text("[]"))


def with_broken_probes(park):
    return changed(park, lambda files: files["probes.json"].write_text('{"photo": 1}'))


def with_a_probe_that_is_no_photo(park):
    return changed(park, lambda files: files["probes/2.jpg"].write_bytes(b"no photo"))


def with_a_probe_that_is_no_file(park):
    return changed(park, lambda files: files.pop("probes/2.jpg"))


def without_a_model(park):
    return changed(park, lambda files: files.pop("model.onnx"))


def with_a_model_that_is_none(park):
    return changed(park, lambda files: files["model.onnx"].write_bytes(b"onnx?"))


def with_other_labels_than_its_model(park):
    version = park.publish(sharpness=2.0, change=None, labels=("cat", "dog"), model_labels=("dog", "cat"))
    park.certify(version)
    return version


REFUSED = [
    (uncertified, "NotCertified"),
    (refused_by_the_expert, "NotCertified"),
    (revoked, "NotCertified"),
    (expired, "NotCertified"),
    (with_a_tampered_model, "FileCorrupted"),
    (with_a_lost_file, "FileCorrupted"),
    (with_wrong_probes, "ProbesFailed"),
    (with_probes_that_are_not_numbers, "ProbesFailed"),
    (without_probes, "ProbesFailed"),
    (with_an_empty_list_of_probes, "ProbesFailed"),
    (with_broken_probes, "ProbesFailed"),
    (with_a_probe_that_is_no_photo, "ProbesFailed"),
    (with_a_probe_that_is_no_file, "ProbesFailed"),
    (without_a_model, "ModelInvalid"),
    (with_a_model_that_is_none, "ModelInvalid"),
    (with_other_labels_than_its_model, "ModelInvalid"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_a_version_that_does_not_pass_is_refused_and_the_old_one_answers(endpoint, park, make, reason):
    version = make(park)
    park.release(version)
    assert endpoint.follow()
    assert refusal(endpoint) == (version.number, reason)
    assert endpoint.model()["refused"]["detail"]
    assert endpoint.metric("petpark_refused_versions_total", reason=reason) == 1
    assert endpoint.classify().json()["model"]["version"] == 1
    assert endpoint.http.get("/healthz/ready").status_code == 200


@pytest.mark.parametrize(("make", "reason"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_an_endpoint_with_nothing_else_to_serve_stays_unready_and_says_why(park, open_endpoint, make, reason):
    park.release(make(park))
    endpoint = open_endpoint()
    assert endpoint.follow()
    assert refusal(endpoint) == (1, reason)
    ready = endpoint.http.get("/healthz/ready")
    assert ready.status_code == 503
    assert endpoint.model()["refused"]["detail"] in ready.json()["detail"]


def test_an_entry_whose_digest_is_not_the_versions_is_refused(endpoint, park):
    park.certified(sharpness=2.0)
    park.release(park.catalog.version(2))
    other = park.publish(sharpness=3.0)
    park.store.damage(version_key("pets", 2), other.to_bytes().replace(b'"number":3', b'"number":2'))
    endpoint.follow()
    assert refusal(endpoint) == (2, "DigestMismatch")
    assert in_force(endpoint) == 1


def test_a_version_that_is_gone_is_refused(endpoint, park):
    version = park.certified(sharpness=2.0)
    park.release(version)
    park.store.lose(version_key("pets", version.number))
    endpoint.follow()
    assert refusal(endpoint) == (2, "VersionMissing")


def test_without_certificates_asked_for_an_uncertified_version_answers(park, open_endpoint):
    park.release(park.publish())
    endpoint = open_endpoint(require_certificate=False)
    endpoint.follow()
    assert in_force(endpoint) == 1
    assert endpoint.model()["certificate"] is None


def test_a_refused_version_comes_into_force_once_what_it_lacked_is_there(endpoint, park):
    version = uncertified(park)
    park.release(version)
    endpoint.follow()
    park.certify(version)
    endpoint.follow()
    assert in_force(endpoint) == 1, "it waits before it looks again"
    park.seconds += 5
    endpoint.follow()
    assert in_force(endpoint) == 2
    assert refusal(endpoint) is None


def test_a_version_that_can_never_pass_is_not_loaded_again_and_again(endpoint, park, monkeypatch):
    park.release(with_wrong_probes(park))
    endpoint.follow()
    monkeypatch.setattr(park.catalog, "fetch", lambda *_: pytest.fail("loaded again"))
    park.seconds += 3600
    assert endpoint.follow()


def test_the_next_good_move_ends_a_refusal(endpoint, park):
    park.release(uncertified(park))
    endpoint.follow()
    park.release(park.certified(sharpness=3.0))
    endpoint.follow()
    assert in_force(endpoint) == 3
    assert refusal(endpoint) is None


def test_a_rollback_needs_no_download(endpoint, park, monkeypatch):
    park.release(park.certified(sharpness=2.0))
    endpoint.follow()
    monkeypatch.setattr(park.catalog, "fetch", lambda *_: pytest.fail("downloaded again"))
    park.channel.roll_back(by="otto", why="test")
    assert endpoint.follow()
    assert (in_force(endpoint), endpoint.model()["entry"]) == (1, 3)


def test_a_rollback_to_a_version_that_was_revoked_since_is_refused(endpoint, park):
    first = park.catalog.version(1)
    park.release(park.certified(sharpness=2.0))
    endpoint.follow()
    park.certify(first, decision="revoked")
    park.channel.roll_back(by="otto", why="test")
    endpoint.follow()
    assert refusal(endpoint) == (1, "NotCertified")
    assert in_force(endpoint) == 2


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
    assert endpoint.classify().json()["model"]["version"] == 1
    assert endpoint.http.get("/healthz/ready").status_code == 200
    assert endpoint.metric("petpark_store_errors_total") == 3
    park.store.away = False
    assert endpoint.follow()
    assert in_force(endpoint) == 2


def test_a_store_that_breaks_off_in_the_middle_of_a_load_is_asked_again(endpoint, park, monkeypatch):
    park.release(park.certified(sharpness=2.0))
    fetch = park.catalog.fetch

    def break_off(*arguments):
        park.store.away = True
        return fetch(*arguments)

    monkeypatch.setattr(park.catalog, "fetch", break_off)
    assert not endpoint.follow()
    assert refusal(endpoint) is None, "the version is not to blame"
    park.store.away = False
    monkeypatch.setattr(park.catalog, "fetch", fetch)
    assert endpoint.follow()
    assert in_force(endpoint) == 2


def test_a_rewritten_history_is_not_followed(endpoint, park):
    park.release(park.certified(sharpness=2.0))
    second = park.store.get(move_key("pets", "prod", 2))
    hash_before = park.channel.history()[1].previous_sha256
    park.store.damage(move_key("pets", "prod", 2), second.replace(hash_before.encode(), b"0" * 64))
    assert not endpoint.follow()
    assert in_force(endpoint) == 1
    park.store.damage(move_key("pets", "prod", 2), second)
    assert endpoint.follow()
    assert in_force(endpoint) == 2


def test_a_move_that_is_no_move_does_not_end_the_follower(endpoint, park):
    park.store.damage(move_key("pets", "prod", 2), b"{}")
    assert not endpoint.follow()
    assert endpoint.classify().status_code == 200


def test_requests_under_way_end_on_the_version_they_began_with(endpoint, park, monkeypatch):
    """The old version is held inside a request while the channel moves on."""
    model = endpoint.live.deployed.model
    inside, go_on = threading.Event(), threading.Event()
    run = type(model.session).outputs

    def held(session, *arguments):
        if session is model.session:
            inside.set()
            assert go_on.wait(30)
        return run(session, *arguments)

    monkeypatch.setattr(type(model.session), "outputs", held)
    answers = []
    request = threading.Thread(target=lambda: answers.append(endpoint.classify()))
    request.start()
    assert inside.wait(30)
    park.release(park.certified(sharpness=2.0))
    endpoint.follow()
    assert endpoint.classify().json()["model"]["version"] == 2
    go_on.set()
    request.join(30)
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
