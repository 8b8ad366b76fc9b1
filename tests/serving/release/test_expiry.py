"""What happens when a certificate runs out while its version answers: it is said, and that is all."""

import logging
from datetime import timedelta

from registry.encoding import parse_time as parse


def seconds_left(endpoint):
    (line,) = [
        line
        for line in endpoint.http.get("/metrics").text.splitlines()
        if line.startswith("petpark_certificate_remaining_seconds ")
    ]
    return float(line.split()[1])


def test_a_certificate_that_runs_out_is_said_and_takes_nothing_out_of_force(endpoint, park, second, caplog):
    certificate = endpoint.model()["certificate"]
    assert not certificate["expired"]
    assert seconds_left(endpoint) == 30 * 86400
    park.now = parse(certificate["expires_at"]) - timedelta(seconds=1)
    assert endpoint.follow()
    assert endpoint.model()["certificate"] == certificate | {"expired": False}
    assert seconds_left(endpoint) == 1
    park.now = parse(certificate["expires_at"])
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert endpoint.follow()
    assert endpoint.answers == 2
    assert endpoint.ready
    assert endpoint.model()["certificate"] == certificate | {"expired": True}
    assert seconds_left(endpoint) == 0
    message = [record for record in caplog.records if record.getMessage().startswith("certificate expired")]
    assert [(record.levelname, record.version) for record in message] == [("ERROR", 2)]


def test_junk_behind_a_certificate_that_ran_out_changes_nothing(endpoint, park, second):
    park.now = parse(endpoint.model()["certificate"]["expires_at"])
    park.litter(2)
    assert endpoint.follow()
    assert endpoint.answers == 2


def test_a_version_whose_certificate_ran_out_can_still_be_revoked(endpoint, park, second):
    park.certify(park.catalog.version(1), days=90)
    park.now = parse(endpoint.model()["certificate"]["expires_at"])
    park.revoke(second)
    endpoint.follow()
    assert endpoint.answers == 1


def test_a_certificate_that_is_renewed_is_shown_at_the_next_poll(endpoint, park, second):
    park.now = parse(endpoint.model()["certificate"]["expires_at"])
    endpoint.follow()
    park.certify(second, days=60)
    endpoint.follow()
    assert endpoint.model()["certificate"]["number"] == 2
    assert not endpoint.model()["certificate"]["expired"]
    assert endpoint.metric("petpark_swaps_total") == 2, "it is the same model"


def test_where_no_certificate_is_asked_for_there_is_no_time_left_to_show(park, open_endpoint):
    park.release(park.publish())
    endpoint = open_endpoint(require_certificate=False)
    endpoint.follow()
    assert seconds_left(endpoint) != seconds_left(endpoint), "not a number, so no alarm compares with it"


def test_an_endpoint_that_starts_on_a_certificate_that_ran_out_serves_the_last_good_one_and_says_so(
    park, open_endpoint
):
    first, late = park.publish(), park.publish(sharpness=2.0)
    park.certify(first, days=90)
    park.certify(late, days=1)
    park.release(first)
    park.release(late)
    running = open_endpoint()
    running.follow()
    park.now = parse(running.model()["certificate"]["expires_at"])
    started = open_endpoint()
    started.follow()
    running.follow()
    assert (running.answers, started.answers) == (2, 1)
    assert "expired" in started.model()["refused"]["detail"]
