"""What the page Models reads of the registry, and that looking at it is cheap."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry.channels.experiment import Experiments
from registry.channels.experiment_rule import Rule
from registry.layout.model_store import blob_key, channel_entry_key
from serving.pages.registry_view import FRESH_SECONDS, SHOWN


@pytest.fixture
def look(endpoint):
    return lambda: endpoint.http.get("/v1/registry").json()


def test_certificates_are_told_as_they_stand(park, endpoint, look):
    second = park.certified(sharpness=2.0)
    park.release(second)
    park.revoke(second)
    output = {version["number"]: version["certificate"] for version in look()["versions"]}
    assert (output[2]["state"], output[1]["state"]) == ("revoked", "in force")
    park.pass_days(31)
    park.seconds += FRESH_SECONDS
    assert {version["certificate"]["state"] for version in look()["versions"]} == {"revoked", "expired"}


def test_metrics_and_gates_are_told_apart(park, endpoint, look):
    (version,) = look()["versions"]
    assert (version["metrics"], version["gates"]) == ({"sharpness": 4.0}, {})


def with_report(park, body: bytes = b"<title>pets, version 2</title>"):
    path = park.directory / "report.html"
    path.write_bytes(body)
    return park.catalog.publish({"report.html": path}, labels=("cat", "dog"), metrics={}, lineage={})


def test_the_report_of_a_version_is_served_as_published_and_may_run_nothing(park, endpoint, look):
    version = with_report(park)
    park.channel.move(version, by="otto", why="test")
    assert {output["number"]: output["report"] for output in look()["versions"]} == {1: False, 2: True}
    answer = endpoint.http.get("/v1/versions/2/report.html")
    assert (answer.status_code, answer.text) == (200, "<title>pets, version 2</title>")
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"sandbox", "default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert not [rule for rule in policy if "script" in rule]


@pytest.mark.parametrize(
    ("number", "expected"), [(1, "without a report"), (0, "does not exist"), (9, "does not exist")]
)
def test_a_report_that_is_not_there_is_not_found(endpoint, number, expected):
    answer = endpoint.http.get(f"/v1/versions/{number}/report.html")
    assert (answer.status_code, expected in answer.json()["detail"]) == (404, True)


def test_a_report_that_somebody_changed_is_not_shown(park, endpoint):
    version = with_report(park)
    park.store.damage(blob_key("pets", version.files[0].sha256), b"<title>all is well</title>")
    answer = endpoint.http.get("/v1/versions/2/report.html")
    assert (answer.status_code, "all is well" in answer.text) == (502, False)


def test_a_report_is_for_those_with_a_key(park, guarded):
    with_report(park)
    assert guarded.http.get("/v1/versions/2/report.html").status_code == 401


NAMES = ("quinn", "otto", "tina", "misses grey cats", "better at dusk")


@pytest.mark.parametrize("path", ["/v1/registry", "/v1/model"])
def test_who_decided_and_what_they_wrote_is_for_those_with_a_key(park, parameters, open_endpoint, path):
    version = park.publish(lineage={"requested_by": "arn:aws:sts::1:assumed-role/publisher/tina"})
    park.certify(version, note="misses grey cats")
    park.channel.move(version, by="arn:aws:sts::1:assumed-role/promoter/otto", why="better at dusk")
    begin_experiment(park, park.certified(sharpness=2.0))
    endpoint = open_endpoint(parameters=parameters)
    endpoint.follow()
    key = parameters.create("camera")
    endpoint.ring.refresh()
    stranger = endpoint.http.get(path)
    friend = endpoint.http.get(path, headers={"authorization": f"Bearer {key}"})
    wrong = endpoint.http.get("/v1/model", headers={"authorization": "Bearer pp_unknown"})
    assert stranger.json()["follows" if path == "/v1/registry" else "channel"] == "prod"
    assert not [name for name in NAMES if name in stranger.text + wrong.text]
    text = [name for name in NAMES if name in friend.text]
    assert text == (list(NAMES) if path == "/v1/registry" else ["quinn"])
    assert "arn:aws" not in friend.text


def test_an_error_of_the_registry_names_nobody_to_strangers(park, endpoint, look):
    head = park.channel.head()
    foreign = replace(head, number=2, by="mallory", previous=1, previous_sha256="0" * 64)
    park.store.create(channel_entry_key("pets", "prod", 2), foreign.to_bytes())
    (channel,) = look()["channels"]
    assert channel["error"]
    assert "mallory" not in str(look())


def begin_experiment(park, version):
    Experiments(park.store, "pets", "prod").start(
        version,
        park.channel.head(),
        mode="shadow",
        share=0.5,
        rule=Rule(),
        until=datetime.now(UTC) + timedelta(hours=1),
        by="arn:aws:sts::1:assumed-role/promoter/otto",
        why="better at dusk",
    )


def test_all_channels_are_found_and_the_newest_moves_come_first(park, endpoint, look):
    from registry.channels.channel import Channel

    one, two = park.catalog.version(1), park.certified(sharpness=2.0)
    other = Channel(park.store, "pets", "test")
    for number in range(SHOWN + 5):
        other.move((one, two)[number % 2], by="otto", why="test")
    output = {channel["name"]: channel["moves"] for channel in look()["channels"]}
    assert list(output) == ["prod", "test"]
    assert [move["number"] for move in output["test"]] == list(range(SHOWN + 5, 5, -1))


def test_many_who_look_cost_one_reading_and_a_quiet_registry_little(park, endpoint, look):
    look()
    before = len(park.store.asked)
    look()
    assert len(park.store.asked) == before
    park.seconds += FRESH_SECONDS
    look()
    assert 0 < len(park.store.asked) - before <= 5  # channels, their next move, the next decision, experiments


def test_a_store_that_is_away_is_said_and_the_endpoint_goes_on(park, endpoint, look):
    park.store.away = True
    output = look()
    assert output["error"]
    assert endpoint.answers == 1
    park.store.away = False
    park.seconds += FRESH_SECONDS
    assert look()["error"] is None
