"""Which version answers instead of one that must not."""

import pytest

from tests.serving.held_request import held_request


def started_on(park, *versions):
    """The versions in force one after the other, before any endpoint was there to see it."""
    for version in versions:
        park.release(version)


# --- falling back --------------------------------------------------------------------------------------------------


def test_a_revoked_version_gives_way_to_the_one_before_it_at_the_next_poll(endpoint, park, second, monkeypatch):
    monkeypatch.setattr(endpoint.catalog, "fetch", lambda *_: pytest.fail("downloaded, though it is in memory"))
    park.revoke(second)
    assert endpoint.follow()
    assert endpoint.answers == 1
    assert endpoint.ready
    model = endpoint.model()
    assert (model["version"], model["entry"], model["certificate"]["version"]) == (1, 1, 1)
    assert (model["refused"]["version"], model["refused"]["entry"]) == (2, 2)
    assert "revoked on" in model["refused"]["detail"]
    assert endpoint.metric("petpark_withdrawn_versions_total") == 1
    assert endpoint.metric("petpark_refused_versions_total", reason="NotCertified") == 1
    assert endpoint.metric("petpark_refusing") == 1
    assert endpoint.metric("petpark_channel_entry") == 1
    assert endpoint.metric("petpark_model", name="pets", version="2", digest=second.digest) == 0


def test_a_version_that_is_refused_after_all_gives_way_too(endpoint, park, second):
    park.certify(second, decision="refused")
    endpoint.follow()
    assert endpoint.answers == 1


def test_without_certificates_asked_for_a_revocation_changes_nothing(park, open_endpoint):
    version = park.certified()
    park.release(version)
    endpoint = open_endpoint(require_certificate=False)
    endpoint.follow()
    park.revoke(version)
    endpoint.follow()
    assert endpoint.answers == 1


def test_the_fallback_is_loaded_and_verified_if_it_is_not_in_memory(endpoint, park, second):
    third = park.certified(sharpness=3.0)
    park.release(third)
    endpoint.follow()
    assert [model.version.number for model in endpoint.rollout.kept] == [3, 2]
    park.revoke(second)
    park.revoke(third)
    endpoint.follow()
    assert endpoint.answers == 1
    assert endpoint.model()["refused"]["version"] == 3


def test_a_fallback_that_does_not_pass_is_passed_over(endpoint, park, second):
    third = park.certified(sharpness=3.0)
    started_on(park, third, park.certified(sharpness=5.0))
    endpoint.follow()
    park.spoil(third, "model.onnx", b"evil")
    park.revoke(4)
    endpoint.follow()
    assert endpoint.answers == 2


def test_a_fallback_that_is_revoked_too_gives_way_to_one_before_it(endpoint, park, second):
    park.release(park.certified(sharpness=3.0))
    endpoint.follow()
    park.revoke(3)
    endpoint.follow()
    assert endpoint.answers == 2
    park.revoke(second)
    endpoint.follow()
    assert endpoint.answers == 1
    assert endpoint.model()["refused"]["version"] == 3, "what the channel names"
    assert endpoint.metric("petpark_withdrawn_versions_total") == 2


def test_what_somebody_rolled_back_is_never_fallen_back_on(endpoint, park, second):
    """Version 2 is certified, but the roll back to 1 took it out of force."""
    park.roll_back()
    endpoint.follow()
    assert endpoint.answers == 1
    park.revoke(1)
    endpoint.follow()
    assert endpoint.answers is None


def test_a_version_that_was_rolled_back_to_gives_way_to_the_one_before_its_first_time(endpoint, park, second):
    park.release(park.certified(sharpness=3.0))
    park.roll_back()
    endpoint.follow()
    assert endpoint.answers == 2
    park.revoke(second)
    endpoint.follow()
    assert endpoint.answers == 1


def test_a_move_is_followed_at_once_if_it_comes_with_the_revocation(endpoint, park, second):
    park.revoke(second)
    park.release(park.certified(sharpness=3.0))
    endpoint.follow()
    assert endpoint.answers == 3
    assert endpoint.refusal is None
    assert endpoint.metric("petpark_swaps_total") == 3, "version 1 never came back in between"


def test_the_roll_back_after_a_revocation_is_followed_as_usual(endpoint, park, second):
    park.revoke(second)
    endpoint.follow()
    park.roll_back()
    endpoint.follow()
    assert (endpoint.answers, endpoint.model()["entry"]) == (1, 3)
    assert endpoint.refusal is None
    assert endpoint.metric("petpark_refusing") == 0


def test_a_refused_move_does_not_hide_that_what_still_answers_is_revoked(endpoint, park, second):
    park.release(park.publish(sharpness=3.0))
    endpoint.follow()
    assert endpoint.answers == 2
    park.revoke(second)
    endpoint.follow()
    assert endpoint.answers == 1
    assert endpoint.refusal == (3, "NotCertified")
    assert "no decision" in endpoint.model()["refused"]["detail"]


def test_promoting_a_revoked_version_again_does_not_keep_it_in_force(endpoint, park, second):
    park.revoke(second)
    park.release(second)  # past the rule, which would refuse it
    endpoint.follow()
    assert endpoint.answers == 1
    assert endpoint.refusal == (2, "NotCertified")


# --- the moment in between -----------------------------------------------------------------------------------------


def test_a_fallback_in_memory_leaves_no_moment_without_an_answer(endpoint, park, second):
    seen = []
    park.store.away_for = lambda key: key.startswith("pets/certificates/00000001/") and seen.append(endpoint.ready)
    park.revoke(second)
    endpoint.follow()
    assert seen
    assert all(seen)
    assert endpoint.answers == 1


def test_a_revoked_version_does_not_answer_while_its_fallback_is_loaded(park, open_endpoint, monkeypatch):
    started_on(park, park.certified(), park.certified(sharpness=2.0))
    endpoint = open_endpoint()
    endpoint.follow()
    seen = []
    fetch = endpoint.catalog.fetch
    monkeypatch.setattr(endpoint.catalog, "fetch", lambda *given: seen.append(endpoint.answers) or fetch(*given))
    park.revoke(2)
    endpoint.follow()
    assert seen == [None]
    assert endpoint.answers == 1


def test_requests_under_way_end_on_the_version_that_is_revoked_meanwhile(endpoint, park, second, monkeypatch):
    with held_request(endpoint, monkeypatch) as answers:
        park.revoke(second)
        endpoint.follow()
        assert endpoint.answers == 1
    assert answers[0].json()["model"]["version"] == 2


# --- starting ------------------------------------------------------------------------------------------------------


def test_an_endpoint_that_starts_on_a_revoked_version_serves_the_last_good_one(park, open_endpoint):
    versions = [park.certified(sharpness=float(number)) for number in (1, 2, 3)]
    started_on(park, *versions)
    for version in versions[1:]:
        park.revoke(version)
    endpoint = open_endpoint()
    endpoint.follow()
    assert (endpoint.answers, endpoint.model()["entry"]) == (1, 1)
    assert endpoint.refusal == (3, "NotCertified")
    park.certify(versions[2])
    endpoint.follow()
    assert endpoint.answers == 3


def test_an_endpoint_that_starts_does_not_serve_what_somebody_rolled_back(park, open_endpoint):
    started_on(park, park.certified(), park.certified(sharpness=2.0))
    park.roll_back()
    park.revoke(1)
    endpoint = open_endpoint()
    endpoint.follow()
    assert endpoint.answers is None
    assert endpoint.refusal == (1, "NotCertified")
