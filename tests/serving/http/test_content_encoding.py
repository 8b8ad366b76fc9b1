"""Compressed bodies are understood within the same limits as plain ones."""

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http.content_encoding import Compressed
from serving.problems import Problem
from serving.settings import Limits


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


ENCODERS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, " GZIP ": gzip.compress}


def post(endpoint, body: bytes, encoding: str, path: str = "/v1/classify"):
    headers = {"content-type": "image/jpeg", "content-encoding": encoding}
    return endpoint.http.post(path, content=body, headers=headers)


@pytest.mark.parametrize("encoding", ENCODERS)
def test_a_compressed_photo_is_classified_as_the_plain_one(endpoint, encoding):
    plain = endpoint.classify().json()
    answer = post(endpoint, ENCODERS[encoding](endpoint.photo), encoding)
    assert answer.status_code == 200
    assert answer.json()["probabilities"] == plain["probabilities"]


def test_deflate_without_its_frame_is_taken_too(endpoint):
    assert post(endpoint, bare_deflate(endpoint.photo), "deflate").status_code == 200


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, deflate", "x" * 5_000])
def test_an_encoding_that_is_not_taken_is_415_and_says_which_are(endpoint, encoding):
    answer = post(endpoint, endpoint.photo, encoding)
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, deflate, identity"
    assert "gzip" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(b"x" * 99)[:-9], gzip.compress(b"x") + b"more", b"", gzip.compress(b"x") * 2],
    ids=["none", "cut off", "more", "empty", "two"],
)
def test_a_body_that_is_not_what_its_encoding_says_is_422(endpoint, body):
    answer = post(endpoint, body, "gzip")
    assert answer.status_code == 422
    assert "Content-Encoding" in answer.json()["detail"]


def test_a_small_body_that_becomes_a_large_one_is_refused_before_it_is_in_memory(park, open_endpoint):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(body_bytes=1_000_000))
    endpoint.follow()
    bomb = gzip.compress(bytes(200_000_000))
    most = 0
    hold = endpoint.bodies._hold

    def watched(size: int, peer: str | None) -> None:
        nonlocal most
        hold(size, peer)
        most = max(most, endpoint.bodies.held)

    endpoint.bodies._hold = watched
    assert len(bomb) < 1_000_000
    assert post(endpoint, bomb, "gzip").status_code == 413
    assert most < 2_000_000
    assert endpoint.bodies.held == 0


@given(st.binary(max_size=2_000), st.lists(st.integers(1, 400), max_size=20), st.sampled_from(["gzip", "zlib", "raw"]))
def test_however_the_bytes_arrive_the_body_is_the_same(data: bytes, cuts: list[int], kind: str):
    packed = {"gzip": gzip.compress, "zlib": zlib.compress, "raw": bare_deflate}[kind](data)
    decoding, found, place = Compressed(), b"", 0
    for size in [*cuts, len(packed)]:
        found += b"".join(decoding.pieces(packed[place : place + size]))
        place += size
    decoding.end()
    assert found == data


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(data: bytes):
    decoding, sizes = Compressed(), []
    with contextlib.suppress(Problem):
        sizes += map(len, decoding.pieces(data))
        decoding.end()
    assert max(sizes, default=0) <= 256 * 1024
