"""When a load balancer should send callers to an instance, and its group keep it: the table of `infrastructure.md`."""

import pytest


def _status(endpoint, path: str = "in-service") -> int:
    return endpoint.http.get(f"/healthz/{path}").status_code


def test_an_instance_that_does_not_know_yet_what_to_serve_gets_no_callers(park, open_endpoint):
    park.release(park.certified())
    endpoint = open_endpoint()
    assert _status(endpoint) == 503
    endpoint.follow()
    assert (_status(endpoint), _status(endpoint, "ready")) == (200, 200)


def test_before_the_first_version_an_instance_stays_though_it_is_not_ready(open_endpoint):
    endpoint = open_endpoint()
    endpoint.follow()
    assert (_status(endpoint), _status(endpoint, "ready")) == (200, 503)


def test_an_instance_that_starts_on_a_refused_version_and_finds_no_other_gets_no_callers(park, open_endpoint):
    park.release(park.publish())  # not certified
    endpoint = open_endpoint()
    endpoint.follow()
    assert endpoint.refusal is not None
    assert _status(endpoint) == 503


def test_an_instance_whose_version_was_withdrawn_stays_for_a_new_one_would_serve_nothing_either(endpoint, park):
    park.revoke(1)
    endpoint.follow()
    assert endpoint.answers is None
    assert (_status(endpoint), _status(endpoint, "ready")) == (200, 503)


def test_a_store_that_is_away_takes_no_instance_out_of_service(endpoint, monkeypatch):
    monkeypatch.setattr(endpoint.rollout, "_follow_channel", lambda: (_ for _ in ()).throw(OSError("away")))
    assert not endpoint.follow()
    assert _status(endpoint) == 200


@pytest.mark.parametrize("path", ["in-service", "ready"])
def test_an_instance_that_drains_gets_no_callers(endpoint, path):
    endpoint.live.draining = True
    assert _status(endpoint, path) == 503
