"""Weights are fetched where they can be, checked always, and otherwise it is said how else to come by them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from petpark.errors import WeightsMissing
from petpark.jobs.pretrained import fetch_pretrained
from training.networks import pretrained

BODY = b"weights"


def client(status: int = 200) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(status, content=BODY)))


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> str:
    address = f"https://weights.example/tiny-{hashlib.sha256(BODY).hexdigest()[:8]}.pth"
    monkeypatch.setattr(pretrained, "PUBLISHED", {"tiny": address, "other": "https://weights.example/o-00000000.pth"})
    return address


def test_weights_with_the_promised_bytes_are_taken(published: str, tmp_path: Path) -> None:
    assert fetch_pretrained("tiny", tmp_path, client=client()).read_bytes() == BODY


def test_weights_with_other_bytes_are_refused(published: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="does not match the hash"):
        fetch_pretrained("other", tmp_path, client=client())


def test_where_they_cannot_be_reached_the_address_is_named(published: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as refused:
        fetch_pretrained("tiny", tmp_path, client=client(503))
    assert published in str(vars(refused.value))


def test_a_network_without_published_weights_is_told_which_have_them(published: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no ImageNet weights for resnet8"):
        fetch_pretrained("resnet8", tmp_path, client=client())
