"""Who may call: keys that come, expire, rotate and go while an endpoint runs."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.encoding import canonical
from serving.auth.key_polling import LONGEST_SECONDS
from serving.auth.key_record import ApiKey, KeyScope, RecordMalformed, hash_of, new_key
from serving.auth.rate_limit import Rates
from tests.examples import examples
from tests.serving.auth.records import RECORD
from tests.serving.park import NOW

FEW = settings(max_examples=examples(60))
HASHES = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
MOMENTS = st.integers(0, 4_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))
RECORDS = st.builds(
    ApiKey,
    name=st.sampled_from(["a", "gate-camera", "x" * 63]),
    hash=HASHES,
    rate=st.floats(0.001, 10_000),
    burst=st.integers(1, 10_000),
    created=MOMENTS,
    expires=st.none() | MOMENTS,
    scopes=st.sets(st.sampled_from(KeyScope), min_size=1).map(frozenset),
)
VALUES = st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=6), st.lists, max_leaves=3)


def call(endpoint, key=None, **headers):
    sent = {"content-type": "image/jpeg", **headers}
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    return endpoint.http.post("/v1/classify", content=endpoint.photo, headers=sent)


def stored(record):
    """As it is after it was written and read."""
    return json.loads(canonical(record.to_dict()))


# --- records -------------------------------------------------------------------------------------------------------


@FEW
@given(RECORDS, HASHES, MOMENTS)
def test_what_was_written_is_read(record, new_hash, now):
    assert ApiKey.from_dict(record.name, stored(record)) == record
    rotated = record.rotated(new_hash, now=now, grace=timedelta(hours=1))
    assert ApiKey.from_dict(record.name, stored(rotated)) == rotated


@FEW
@given(RECORDS, st.sampled_from(["hash", "rate", "burst", "created", "expires", "scopes", "previous", "admin"]), VALUES)
def test_a_damaged_record_is_malformed_or_another_record_and_nothing_else_happens(record, member, value):
    document = stored(record) | {member: value}
    try:
        read = ApiKey.from_dict(record.name, document)
    except RecordMalformed:
        return
    assert read.rate > 0
    assert read.burst >= 1
    assert read.scopes <= set(KeyScope)


def test_a_key_is_256_random_bits_and_its_record_does_not_hold_it():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("pp_") and len(key) == 3 + 43 for key in keys)
    assert all(key[3:] not in hash_of(key) for key in keys)


# --- rates ---------------------------------------------------------------------------------------------------------


@FEW
@given(RECORDS, st.lists(st.tuples(st.floats(0, 50), st.integers(1, 30)), max_size=40))
def test_no_key_gets_more_than_its_burst_and_its_rate_over_any_time(record, requests):
    now = 0.0
    rates = Rates(lambda: now)
    paid = 0
    granted: list[tuple[float, int]] = []
    for pause, photos in requests:
        now += pause
        if rates.take(record).granted:
            granted.append((now, paid))
            for began, before in granted:
                assert paid - before <= record.burst + record.rate * (now - began) + 1e-6 * (1 + record.rate * now)
            paid += photos
            rates.charge(record, photos - 1)


@FEW
@given(RECORDS, st.integers(0, 10**6))
def test_however_long_a_key_was_silent_it_has_no_more_than_its_burst(record, silent):
    now = 0.0
    rates = Rates(lambda: now)
    rates.take(record)
    now = float(silent)
    assert rates.take(record).remaining <= record.burst - 1


def test_an_allowance_says_when_to_come_back_and_is_right():
    now = 0.0
    rates = Rates(lambda: now)
    record = ApiKey(
        name="camera",
        hash="0" * 64,
        rate=0.5,
        burst=2,
        created=NOW,
        expires=None,
        scopes=frozenset({KeyScope.CLASSIFY}),
    )
    assert [rates.take(record).granted for _ in range(3)] == [True, True, False]
    refused = rates.take(record)
    assert (refused.wait, refused.remaining) == (2, 0)
    now = 1.9
    assert not rates.take(record).granted
    now = float(refused.wait)
    assert rates.take(record).granted


# --- authentication ------------------------------------------------------------------------------------------------


def test_without_a_key_nobody_is_answered_and_is_told_how_to_be(guarded):
    answer = call(guarded)
    assert (answer.status_code, answer.json()["type"]) == (401, "/docs#unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="petpark"'
    assert "keys create" in answer.json()["detail"]


@pytest.mark.parametrize("way", ["authorization", "lower-case", "x-api-key"])
def test_a_key_is_taken_in_the_usual_ways(guarded, parameters, way):
    key = parameters.create()
    guarded.ring.refresh()
    headers = {
        "authorization": {"authorization": f"Bearer {key}"},
        "lower-case": {"authorization": f"bearer  {key}"},
        "x-api-key": {"x-api-key": key},
    }[way]
    answer = call(guarded, **headers)
    assert (answer.status_code, answer.json()["label"]) == (200, "cat")


@pytest.mark.parametrize(
    ("authorization", "error"),
    [
        ("Bearer pp_" + "A" * 43, "invalid_token"),
        ("Bearer " + "x" * 5000, "invalid_token"),
        ("Basic dXNlcjpwYXNz", "invalid_request"),
        ("Bearer", "invalid_request"),
        ("Bearer a b", "invalid_request"),
    ],
)
def test_what_is_no_key_of_this_endpoint_is_refused(guarded, parameters, authorization, error):
    parameters.create()
    guarded.ring.refresh()
    answer = call(guarded, authorization=authorization)
    assert answer.status_code == 401
    assert f'error="{error}"' in answer.headers["www-authenticate"]


def test_every_address_that_works_asks_for_a_key_and_no_other_does(guarded):
    post, get = guarded.http.post, guarded.http.get
    models = [f"/v2/models/pets{version}/infer" for version in ("", "/versions/1")]
    closed = ["/v1/classify", "/v1/classify/batch", "/v1/roll-back", *models]
    assert {post(path).status_code for path in closed} == {401}
    posts = {route.path for route in guarded.routes if "POST" in (route.methods or ())}
    assert posts == {path.replace("pets", "{model}").replace("/1/", "/{version}/") for path in closed}
    opened = ["/", "/docs", "/openapi.json", "/v1/model", "/healthz/live", "/healthz/ready", "/metrics", "/v2"]
    assert {get(path).status_code for path in [*opened, "/v2/models/pets"]} == {200}


def test_a_key_ends_when_it_says(guarded, parameters, park):
    key = parameters.create(expires=park.now + timedelta(days=1))
    guarded.ring.refresh()
    assert call(guarded, key).status_code == 200
    park.pass_days(1)
    answer = call(guarded, key)
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


def test_a_rotation_needs_no_restart_and_leaves_time_to_change_over(guarded, parameters, park):
    old = parameters.create()
    guarded.ring.refresh()
    new = parameters.rotate("camera", now=park.now, grace=timedelta(days=2))
    assert (call(guarded, old).status_code, call(guarded, new).status_code) == (200, 401), "not read yet"
    guarded.ring.refresh()
    assert (call(guarded, old).status_code, call(guarded, new).status_code) == (200, 200)
    park.pass_days(2)
    assert (call(guarded, old).status_code, call(guarded, new).status_code) == (401, 200)


def test_a_revoked_key_is_gone_at_the_next_reading(guarded, parameters):
    key = parameters.create()
    guarded.ring.refresh()
    parameters.revoke("camera")
    guarded.ring.refresh()
    assert call(guarded, key).status_code == 401


def test_a_scope_opens_no_more_than_it_says(guarded, parameters):
    key = parameters.create("ops", scopes=(KeyScope.ADMIN,))
    guarded.ring.refresh()
    answer = call(guarded, key)
    assert (answer.status_code, answer.json()["type"]) == (403, "/docs#forbidden")
    assert 'scope="classify"' in answer.headers["www-authenticate"]
    assert guarded.auth.authenticate({"x-api-key": key}, KeyScope.ADMIN).key.name == "ops"


def test_over_its_rate_a_key_is_told_to_wait_and_others_are_not(guarded, parameters, park):
    greedy, modest = parameters.create("greedy", rate=2, burst=3), parameters.create("modest")
    guarded.ring.refresh()
    answers = [call(guarded, greedy) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"photos";r=2;t=0',
        '"photos";r=1;t=0',
        '"photos";r=0;t=1',
        '"photos";r=0;t=1',
    ]
    assert answers[-1].headers["ratelimit-policy"] == '"photos";q=3;w=2'
    assert answers[-1].headers["retry-after"] == "1"
    assert call(guarded, modest).status_code == 200
    park.seconds += 1
    assert call(guarded, greedy).status_code == 200
    assert guarded.metric("petpark_callers_total", outcome="too-many-requests") == 1


def test_every_photo_of_a_batch_counts_even_beyond_the_burst(guarded, parameters, park, make_photo):
    key = parameters.create(rate=1, burst=2)
    guarded.ring.refresh()
    files = [("photo", (f"{number}.jpg", make_photo())) for number in range(4)]
    headers = {"x-api-key": key}
    answer = guarded.http.post("/v1/classify/batch", files=files, headers=headers)
    assert (answer.status_code, len(answer.json()["results"])) == (200, 4)
    late = call(guarded, key)
    assert (late.status_code, late.headers["retry-after"]) == (429, "3")
    park.seconds += 3
    assert call(guarded, key).status_code == 200


def test_a_problem_of_the_photo_tells_the_allowance_too(guarded, parameters):
    key = parameters.create()
    guarded.ring.refresh()
    answer = guarded.http.post(
        "/v1/classify", content=b"no photo", headers={"x-api-key": key, "content-type": "image/png"}
    )
    assert (answer.status_code, answer.headers["ratelimit"]) == (422, '"photos";r=4;t=0')


# --- an open endpoint ----------------------------------------------------------------------------------------------


def test_an_open_endpoint_answers_anybody_but_whoever_shows_a_wrong_key(park, open_endpoint, parameters):
    park.release(park.certified())
    endpoint = open_endpoint(parameters=parameters)
    endpoint.follow()
    key = parameters.create(burst=1)
    endpoint.ring.refresh()
    assert call(endpoint).status_code == 200
    assert [call(endpoint, key).status_code for _ in range(2)] == [200, 429]
    assert call(endpoint, "pp_wrong").status_code == 401


def test_what_takes_the_admin_scope_takes_a_key_even_where_all_may_classify(endpoint):
    from serving.problems import Problem

    with pytest.raises(Problem) as refused:
        endpoint.auth.authenticate({}, KeyScope.ADMIN)
    assert refused.value.kind.status == 401


# --- a store that goes away ----------------------------------------------------------------------------------------


def test_the_last_known_keys_are_good_while_the_store_is_away_and_their_age_is_said(guarded, parameters, park):
    key = parameters.create()
    guarded.ring.refresh()
    parameters.away = True
    park.seconds += 3600
    assert not guarded.ring.refresh()
    assert call(guarded, key).status_code == 200
    assert guarded.model()["api_keys"] == {"required": True, "known": 1, "read_seconds_ago": 3600.0}
    assert guarded.metric("petpark_api_keys_age_seconds") == 3600
    park.seconds += LONGEST_SECONDS
    answer = call(guarded, key)
    assert (answer.status_code, answer.json()["type"]) == (503, "/docs#keys-unread")
    parameters.away = False
    assert guarded.ring.refresh()
    assert call(guarded, key).status_code == 200


def test_before_the_first_reading_no_key_is_judged(park, open_endpoint, parameters):
    park.release(park.certified())
    parameters.away = True
    endpoint = open_endpoint(api_keys="required", parameters=parameters)
    endpoint.follow()
    answer = call(endpoint, parameters.create())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert call(endpoint).status_code == 401


@pytest.mark.parametrize("junk", ["", {}, [], None, {"hash": "x"}])
def test_what_is_no_record_spoils_no_other_and_is_counted(guarded, parameters, junk, caplog):
    key = parameters.create()
    parameters.spoil("junk", junk)
    assert guarded.ring.refresh()
    assert guarded.ring.refresh()
    assert call(guarded, key).status_code == 200
    assert guarded.metric("petpark_api_keys_malformed") == 1
    assert caplog.text.count("invalid API key record") == 1


def test_neither_log_nor_metrics_nor_answers_ever_hold_a_key(guarded, parameters, caplog):
    key = parameters.create()
    guarded.ring.refresh()
    shown = [call(guarded, key).text, call(guarded, key + "x").text, guarded.http.get("/metrics").text]
    assert key not in caplog.text + "".join(shown) + json.dumps(guarded.model())


def test_a_key_that_gets_its_burst_back_at_once_is_told_whole_seconds():
    """The draft's fields are whole: rounded up, and never 0 while there is no token."""
    fast = ApiKey.from_dict("gate", RECORD | {"rate": 100.0, "burst": 2})
    slow = ApiKey.from_dict("pond", RECORD | {"rate": 0.4, "burst": 2})
    now = [0.0]
    rates = Rates(lambda: now[0])
    taken = [rates.take(fast) for _ in range(3)]
    assert [(each.granted, each.remaining, each.wait, each.window) for each in taken] == [
        (True, 1, 0, 1), (True, 0, 1, 1), (False, 0, 1, 1),
    ]  # fmt: skip
    taken = [rates.take(slow) for _ in range(3)]
    assert [(each.granted, each.remaining, each.wait, each.window) for each in taken] == [
        (True, 1, 0, 5), (True, 0, 3, 5), (False, 0, 3, 5),
    ]  # fmt: skip
    assert taken[0].headers == {"ratelimit-policy": '"photos";q=2;w=5', "ratelimit": '"photos";r=1;t=0'}
    assert rates.charge(slow, 4).wait == 13
    now[0] = 12.5
    assert rates.take(slow).granted
