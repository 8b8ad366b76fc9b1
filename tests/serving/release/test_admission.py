"""Which versions may answer at an endpoint, and which are refused."""

import json

import pytest

from registry.layout.model_store import blob_key, version_key


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
    park.spoil(version, "probes.json", None)
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
    assert endpoint.refusal == (version.number, reason)
    assert endpoint.model()["refused"]["detail"]
    assert endpoint.metric("petpark_refused_versions_total", reason=reason) == 1
    assert endpoint.answers == 1
    assert endpoint.ready


@pytest.mark.parametrize(("make", "reason"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_an_endpoint_with_nothing_else_to_serve_stays_unready_and_says_why(park, open_endpoint, make, reason):
    park.release(make(park))
    endpoint = open_endpoint()
    assert endpoint.follow()
    assert endpoint.refusal == (1, reason)
    ready = endpoint.http.get("/healthz/ready")
    assert ready.status_code == 503
    assert endpoint.model()["refused"]["detail"] in ready.json()["detail"]


@pytest.mark.parametrize(("make", "reason"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_an_endpoint_that_starts_on_a_version_that_does_not_pass_serves_the_one_before_it(
    park, open_endpoint, make, reason
):
    """As it would if it had been running all the time."""
    park.release(park.certified())
    park.release(make(park))
    endpoint = open_endpoint()
    assert endpoint.follow()
    assert endpoint.refusal == (2, reason)
    assert (endpoint.answers, endpoint.model()["entry"]) == (1, 1)
    assert endpoint.ready
    assert endpoint.metric("petpark_refusing") == 1


def test_an_entry_whose_digest_is_not_the_versions_is_refused(endpoint, park):
    park.certified(sharpness=2.0)
    park.release(park.catalog.version(2))
    other = park.publish(sharpness=3.0)
    park.store.damage(version_key("pets", 2), other.to_bytes().replace(b'"number":3', b'"number":2'))
    endpoint.follow()
    assert endpoint.refusal == (2, "DigestMismatch")
    assert endpoint.in_force == 1


def test_a_version_that_is_gone_is_refused(endpoint, park):
    version = park.certified(sharpness=2.0)
    park.release(version)
    park.store.lose(version_key("pets", version.number))
    endpoint.follow()
    assert endpoint.refusal == (2, "VersionMissing")


def test_without_certificates_asked_for_an_uncertified_version_answers(park, open_endpoint):
    park.release(park.publish())
    endpoint = open_endpoint(require_certificate=False)
    endpoint.follow()
    assert endpoint.in_force == 1
    assert endpoint.model()["certificate"] is None


def test_a_version_comes_into_force_at_the_next_poll_once_it_is_certified(endpoint, park):
    version = uncertified(park)
    park.release(version)
    endpoint.follow()
    park.certify(version)
    endpoint.follow()
    assert endpoint.in_force == 2
    assert endpoint.refusal is None
    assert endpoint.metric("petpark_refusing") == 0


def test_a_version_whose_file_was_damaged_comes_into_force_some_time_after_it_was_mended(endpoint, park):
    version = park.certified(sharpness=2.0)
    key = blob_key("pets", version.file("model.onnx").sha256)
    whole = park.store.get(key)
    park.store.damage(key, b"evil")
    park.release(version)
    endpoint.follow()
    park.store.damage(key, whole)
    endpoint.follow()
    assert endpoint.in_force == 1, "it waits before it looks again"
    park.seconds += 5
    endpoint.follow()
    assert endpoint.in_force == 2
    assert endpoint.refusal is None


def test_what_is_refused_waits_longer_from_look_to_look(endpoint, park, monkeypatch):
    looks = []
    fetch = endpoint.catalog.fetch
    monkeypatch.setattr(endpoint.catalog, "fetch", lambda *given: looks.append(park.seconds) or fetch(*given))
    park.release(with_a_tampered_model(park))
    for second in range(200):
        park.seconds = float(second)
        endpoint.follow()
    assert looks == [0, 4, 12, 28, 60, 120, 180]


def test_a_version_that_can_never_pass_is_not_loaded_again_and_again(endpoint, park, monkeypatch):
    park.release(with_wrong_probes(park))
    endpoint.follow()
    monkeypatch.setattr(endpoint.catalog, "fetch", lambda *_: pytest.fail("loaded again"))
    park.seconds += 3600
    assert endpoint.follow()
