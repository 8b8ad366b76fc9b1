"""How an endpoint hears that the version it answers from is no longer certified, and what cannot keep it from that."""

from dataclasses import replace

import pytest

from registry.layout.model_store import certificate_key, certificates_prefix, channel_entry_key

# --- what a poll costs ---------------------------------------------------------------------------------------------


def test_a_quiet_poll_asks_for_the_next_move_and_the_next_decision(endpoint):
    assert endpoint.requests() == [channel_entry_key("pets", "prod", 2), certificate_key("pets", 1, 2)]


def test_a_quiet_poll_asks_for_the_next_move_alone_where_no_certificate_is_asked_for(park, open_endpoint):
    park.release(park.publish())
    endpoint = open_endpoint(require_certificate=False)
    endpoint.follow()
    assert endpoint.requests() == [channel_entry_key("pets", "prod", 2)]


def test_a_quiet_poll_after_a_fallback_also_asks_whether_the_channels_version_was_certified_anew(
    endpoint, park, second
):
    park.revoke(second)
    endpoint.follow()
    request = endpoint.requests()
    assert request == [
        channel_entry_key("pets", "prod", 3),
        certificate_key("pets", 2, 3),
        certificate_key("pets", 1, 2),
    ]


# --- no way back ---------------------------------------------------------------------------------------------------


def test_without_a_good_version_left_nothing_answers_and_it_is_said_why(endpoint, park, second):
    park.revoke(1)
    park.revoke(second)
    assert endpoint.follow()
    assert endpoint.answers is None
    assert "revoked on" in endpoint.classify().json()["detail"]
    ready = endpoint.http.get("/healthz/ready")
    assert ready.status_code == 503
    assert "revoked on" in ready.json()["detail"]
    model = endpoint.model()
    assert (model["version"], model["digest"], model["entry"], model["certificate"]) == (None, None, None, None)
    assert model["refused"]["version"] == 2
    assert endpoint.http.get("/healthz/live").status_code == 200
    assert endpoint.metric("petpark_model", name="pets", version="2", digest=second.digest) == 0
    assert endpoint.metric("petpark_channel_entry") == 0
    assert "petpark_ready 0.0" in endpoint.http.get("/metrics").text


def test_with_nothing_in_force_an_earlier_version_that_is_certified_anew_is_found_in_time(endpoint, park, second):
    park.revoke(1)
    park.revoke(second)
    endpoint.follow()
    park.certify(park.catalog.version(1))
    park.seconds += 5
    endpoint.follow()
    assert endpoint.answers == 1
    assert endpoint.refusal == (2, "NotCertified")


def test_an_endpoint_that_started_on_a_hopeless_version_finds_an_earlier_one_that_is_certified_later(
    park, open_endpoint
):
    first = park.publish()
    hopeless = park.publish(sharpness=2.0, change=lambda files: files.pop("probes.json"))
    park.certify(hopeless)
    park.release(first)
    park.release(hopeless)
    endpoint = open_endpoint()
    endpoint.follow()
    assert endpoint.answers is None
    park.certify(first)
    park.seconds += 5
    endpoint.follow()
    assert endpoint.answers == 1
    assert endpoint.refusal == (2, "ProbesFailed")


@pytest.mark.parametrize("fallback", [True, False])
def test_a_version_that_is_certified_anew_is_back_at_the_next_poll(endpoint, park, second, monkeypatch, fallback):
    if not fallback:
        park.revoke(1)
    park.revoke(second)
    endpoint.follow()
    assert endpoint.answers == (1 if fallback else None)
    monkeypatch.setattr(endpoint.catalog, "fetch", lambda *_: pytest.fail("downloaded, though it is in memory"))
    park.certify(second)
    endpoint.follow()
    assert (endpoint.answers, endpoint.model()["entry"]) == (2, 2)
    assert endpoint.refusal is None
    assert endpoint.metric("petpark_refusing") == 0


# --- who can write, but not sign -----------------------------------------------------------------------------------


def test_entries_without_the_key_take_nothing_out_of_force(endpoint, park, second):
    park.litter(2)
    park.litter(2, park.store.get(certificate_key("pets", 1, 1)))
    park.litter(2, park.store.get(certificate_key("pets", 2, 1)))
    for _ in range(3):
        assert endpoint.follow()
        assert endpoint.answers == 2
    assert endpoint.refusal is None


def test_each_entry_without_the_key_costs_one_look_and_no_more(endpoint, park, second):
    for number in (2, 3):
        park.litter(2)
        assert certificates_prefix("pets", 2) in endpoint.requests()
        assert endpoint.requests() == [channel_entry_key("pets", "prod", 3), certificate_key("pets", 2, number + 1)]


def test_entries_without_the_key_do_not_hide_a_revocation_among_them(endpoint, park, second):
    park.litter(2)
    park.revoke(second)
    park.litter(2)
    endpoint.follow()
    assert endpoint.answers == 1


def test_entries_without_the_key_about_a_refused_version_cost_one_look_too(endpoint, park, second):
    park.revoke(second)
    endpoint.follow()
    park.litter(2)
    assert certificates_prefix("pets", 2) in endpoint.requests()
    assert len(endpoint.requests()) == 3
    assert endpoint.metric("petpark_refused_versions_total", reason="NotCertified") == 1


def test_names_that_are_no_entrys_hide_no_revocation(endpoint, park, second):
    park.store.create(certificates_prefix("pets", 2) + "who-put-this-here", b"")
    park.store.create(certificates_prefix("pets", 2) + "99999999999.json", b"")
    park.revoke(second)
    assert endpoint.follow()
    assert endpoint.answers == 1


@pytest.mark.parametrize("far", [3, 4, 99_999_999])
def test_an_entry_without_the_key_behind_a_free_number_hides_no_revocation(endpoint, park, second, far):
    endpoint.follow()
    park.store.create(certificate_key("pets", 2, far), b"junk")
    assert park.revoke(second).number == 2
    assert endpoint.follow()
    assert endpoint.answers == 1, "heard at the next poll"


# --- a store that shows less than it did ---------------------------------------------------------------------------


def test_an_empty_listing_of_decisions_withdraws_nothing(endpoint, park, second):
    park.litter(2)
    park.store.listed = lambda keys: []
    assert not endpoint.follow()
    assert endpoint.answers == 2
    assert endpoint.metric("petpark_store_errors_total") == 1
    park.store.listed = lambda keys: keys
    assert endpoint.follow()
    assert endpoint.answers == 2


def test_a_listing_that_lags_behind_a_decision_that_was_heard_decides_nothing(endpoint, park, second):
    park.revoke(second)
    park.store.listed = lambda keys: keys[:-1]
    assert not endpoint.follow()
    assert endpoint.answers == 2, "it knows that something was decided, and not what"
    park.store.listed = lambda keys: keys
    assert endpoint.follow()
    assert endpoint.answers == 1


def test_a_decision_that_reads_otherwise_than_before_withdraws_nothing(endpoint, park, second):
    park.litter(2)
    park.store.damage(certificate_key("pets", 2, 1), b"<html>please sign in</html>")
    assert not endpoint.follow()
    assert endpoint.answers == 2


def test_an_endpoint_that_started_on_an_empty_listing_finds_the_certificate_at_the_next_poll(park, open_endpoint):
    park.release(park.certified())
    park.store.listed = lambda keys: [key for key in keys if "certificates" not in key]
    endpoint = open_endpoint()
    endpoint.follow()
    assert endpoint.answers is None
    park.store.listed = lambda keys: keys
    endpoint.follow()
    assert endpoint.answers == 1


# --- what strangers read -----------------------------------------------------------------------------------------


CERTIFIER = "arn:aws:sts::123456789012:assumed-role/petpark-certifier/vera"


def test_a_stranger_learns_neither_the_certifiers_name_nor_account_nor_note(endpoint, park):
    version = park.publish(sharpness=5.0)
    park.certify(version, by=CERTIFIER, note="misses grey cats, ask Rui")
    park.release(version)
    endpoint.follow()
    certificate = endpoint.model()["certificate"]
    assert "by" not in certificate
    assert "note" not in certificate
    park.revoke(1)
    park.certify(version, decision="revoked", by=CERTIFIER, note="misses grey cats, ask Rui")
    endpoint.follow()
    assert endpoint.answers is None
    for output in (endpoint.http.get("/v1/model"), endpoint.http.get("/healthz/ready"), endpoint.classify()):
        assert "revoked on" in output.text
        assert "vera" not in output.text
        assert "Rui" not in output.text


# --- a store that is away ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [certificate_key("pets", 2, 3), certificates_prefix("pets", 2)])
def test_a_store_that_is_away_during_the_look_leaves_everything_as_it_is(endpoint, park, second, key):
    park.litter(2)
    park.store.away_for = lambda request: request in {key, certificate_key("pets", 2, 2)}
    assert not endpoint.follow()
    assert endpoint.answers == 2
    assert endpoint.refusal is None
    park.store.away_for = lambda _: False
    assert endpoint.follow()
    assert endpoint.answers == 2


@pytest.mark.parametrize("warm", [True, False])
def test_a_revoked_version_never_answers_again_though_the_store_goes_away_in_the_middle(
    park, open_endpoint, endpoint, warm
):
    park.release(park.certified(sharpness=2.0))
    if warm:
        endpoint.follow()
    else:
        endpoint = open_endpoint()
        endpoint.follow()
    assert endpoint.answers == 2
    park.revoke(2)
    park.store.away_for = lambda key: (
        key == channel_entry_key("pets", "prod", 1) or key.startswith("pets/certificates/00000001")
    )
    for _ in range(2):
        assert not endpoint.follow()
        assert endpoint.answers is None
        assert "revoked on" in endpoint.model()["refused"]["detail"]
    park.store.away_for = lambda _: False
    assert endpoint.follow()
    assert endpoint.answers == 1, "at the first poll that the store answers"


def test_a_search_that_breaks_off_after_a_fallback_was_revoked_too_goes_on_at_the_next_poll(endpoint, park, second):
    park.release(park.certified(sharpness=3.0))
    endpoint.follow()
    park.revoke(3)
    endpoint.follow()
    park.revoke(second)
    park.store.away_for = lambda key: key.startswith(certificates_prefix("pets", 1))
    assert not endpoint.follow()
    assert endpoint.answers is None
    park.store.away_for = lambda _: False
    assert endpoint.follow()
    assert endpoint.answers == 1


def test_a_channel_that_was_rewritten_does_not_hide_a_revocation(endpoint, park, second):
    last = park.channel.head()
    park.store.create(
        channel_entry_key("pets", "prod", 3), replace(last, number=3, previous_sha256="0" * 64).to_bytes()
    )
    park.revoke(second)
    assert not endpoint.follow()
    assert endpoint.answers == 1
