"""Files that were verified here once are not downloaded again, and nothing depends on it."""

import errno
import shutil
from pathlib import Path

import pytest

from registry.layout.model_store import Prefix, object_prefix


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def start(park, open_endpoint, cache):
    """Start an endpoint; give it, and the blobs that it asked the store for."""

    def begin():
        endpoint = open_endpoint(cache=cache)
        return endpoint, downloaded(endpoint)

    return begin


def downloaded(endpoint):
    """Poll once; the blobs that were requested."""
    return [key for key in endpoint.requests() if key.startswith(object_prefix("pets", Prefix.BLOBS))]


def test_a_restart_downloads_nothing_again(park, start):
    version = park.certified()
    park.release(version)
    _, first = start()
    assert len(first) == len(version.files)
    endpoint, again = start()
    assert endpoint.answers == 1
    assert again == []


def test_a_roll_back_to_a_version_that_left_memory_downloads_nothing_again(park, start):
    park.release(park.certified())
    endpoint, _ = start()
    for sharpness in (2.0, 3.0):
        park.release(park.certified(sharpness=sharpness))
        endpoint.follow()
    assert 1 not in [model.version.number for model in endpoint.rollout.kept]
    park.roll_back()
    park.roll_back()
    assert downloaded(endpoint) == []
    assert endpoint.answers == 1


def test_a_file_that_was_changed_in_the_cache_is_downloaded_again(park, start, cache):
    version = park.certified()
    park.release(version)
    start()
    sha256 = version.file("model.onnx").sha256
    (cache / "sha256" / sha256).write_bytes(b"evil")
    endpoint, again = start()
    assert endpoint.answers == 1
    assert [key.rpartition("/")[2] for key in again] == [sha256]


def test_a_cache_does_not_make_a_version_pass(park, start):
    version = park.certified()
    park.release(version)
    start()
    park.revoke(version)
    endpoint, _ = start()
    assert endpoint.answers is None


def test_a_cache_that_cannot_be_written_is_no_cache_and_no_harm(park, start, cache):
    cache.write_text("a file where the folder should be")
    park.release(park.certified())
    endpoint, first = start()
    assert endpoint.answers == 1
    assert sorted(start()[1]) == sorted(first)


def test_a_full_disk_is_no_cache_and_no_harm(park, start, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "hardlink_to", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    park.release(park.certified())
    endpoint, first = start()
    assert endpoint.answers == 1
    assert sorted(start()[1]) == sorted(first)


def test_a_cache_on_another_file_system_holds_copies(park, start, monkeypatch):
    def elsewhere(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", elsewhere)
    park.release(park.certified())
    start()
    endpoint, again = start()
    assert endpoint.answers == 1
    assert again == []
