"""A certified version whose labels are swapped, as a canary: found without a label of anybody, and taken out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from petpark.worker.order import Order
from petpark.worker.purposes import dispatch
from registry.store.memory_store import MemoryStore
from tests.browser import chromium
from tests.moto_cloud import MotoCloud
from tests.petpark.conftest import Place
from tests.petpark.worker.machine import JOB, order
from tests.serving.pages.browser.test_accessibility import violations
from tests.serving.process import Process, Registry, running
from training.job import find_result

HOURS = 1
PHOTOS = 40
"""That each endpoint gets between two looks of the worker, which are 30 s apart."""


@pytest.fixture(scope="module")
def cloud() -> Iterator[MotoCloud]:
    with MotoCloud() as opened:
        yield opened


@pytest.fixture
def registry(cloud: MotoCloud, tmp_path: Path, make_version_files: Callable[..., dict[str, Path]]) -> Registry:
    return Registry(cloud, tmp_path, make_version_files)


@pytest.fixture
def endpoints(cloud: MotoCloud, registry: Registry) -> Iterator[list[Process]]:
    """Two endpoints that follow channel `prod`, as processes, at version 1."""
    registry.release(4.0)
    with ExitStack() as stack:
        started = [stack.enter_context(running(cloud, registry)) for _ in range(2)]
        for each in started:
            each.wait_for("version active", version=1)
        yield started


@dataclass(kw_only=True)
class Callers:
    """Send photos to both endpoints, between two looks of the worker, whose clock they move."""

    endpoints: list[Process]
    photos: list[bytes]
    version: int
    """The challenger, which both endpoints must have loaded."""
    told: set[str] = field(default_factory=set)
    seconds: float = 0.0

    def send_photos(self, seconds: float) -> None:
        self.seconds += seconds
        for endpoint in self.endpoints:
            endpoint.wait_for("challenger taken up", version=self.version)
            with httpx.Client(trust_env=False) as client:
                for number in range(PHOTOS):
                    sent = client.post(
                        f"{endpoint.url}/v1/classify",
                        content=self.photos[number % 2],
                        headers={"content-type": "image/jpeg"},
                    ).json()
                    self.told.add(f"{number % 2} is a {sent['label']}")


def the_page_shows_the_pairs(url: str, pairs: list[dict[str, Any]]) -> None:
    with chromium() as browser:
        page = browser.new_page(base_url=url, locale="en-GB", viewport={"width": 390, "height": 800})
        page.goto("/models")
        expect(page.locator("main")).to_contain_text("the challenger was rejected")
        for pair in pairs:
            expect(page.locator("main")).to_contain_text(pair["examples"][0])
        assert violations(page) == []


def test_a_canary_whose_labels_are_swapped_is_taken_out_within_the_bake_time_and_the_evidence_is_told(
    registry: Registry,
    endpoints: list[Process],
    tmp_path: Path,
    make_version_files: Callable[..., dict[str, Path]],
    make_photo: Callable[..., bytes],
) -> None:
    """Errors, latency and confidence of both versions are equal. Time passes by the worker's clock only."""
    files = make_version_files(tmp_path / "swapped", labels=("dog", "cat"))
    bad = registry.catalog.publish(files, labels=("dog", "cat"), metrics={}, lineage={"run": "swapped"})
    registry.decide(bad, "certified")
    place = Place(buckets={"models": registry.store})
    for (stack, exported), endpoint in zip(place.exported.items(), endpoints, strict=True):
        exported["channels"]["prod"] = exported["channels"]["test"]  # the certificate is checked by the endpoints
        exported["endpoint"]["channel"] = "prod"
        place.urls[stack] = endpoint.url
    photos = [make_photo(colour) for colour in ("red", "blue")]
    callers = Callers(endpoints=endpoints, photos=photos, version=bad.number)
    workspace = MemoryStore()
    inputs: dict[str, Any] = {
        "version": bad.number, "digest": bad.digest, "channel": "prod", "stack": "prod", "mode": "canary",
        "share": 0.2, "hours": HOURS, "why": "test",
    }  # fmt: skip
    dispatch.perform(
        Order.from_json(json.dumps(order("canary", max_seconds=3600 * HOURS, **inputs)).encode()),
        workspace,
        stop=lambda: None,
        stack="test",
        targets=lambda stack: place.target(stack=stack),
        pause=callers.send_photos,
        clock=lambda: callers.seconds,
    )

    assert {"0 is a cat", "0 is a dog"} <= callers.told, "callers met both versions"
    result = find_result(workspace, JOB)
    assert result is not None
    assert result.outcome == "rejected"
    assert callers.seconds < 3600 * HOURS / 4
    assert result.metrics["disagreed"] == result.metrics["compared"] >= 8
    assert "disagreement 100.00%" in (result.message or "")
    assert "photos: cat became dog, such as " in (result.message or "")
    for endpoint in endpoints:
        endpoint.wait_for("challenger dropped", why="ended or void")
        answers = [
            httpx.post(f"{endpoint.url}/v1/classify", content=photos[0], headers={"content-type": "image/jpeg"})
            for _ in range(20)
        ]
        assert {(each.json()["model"]["version"], each.json()["label"]) for each in answers} == {(1, "cat")}
    head = registry.channel.head()
    assert head is not None
    assert head.version == 1
    shown = httpx.get(f"{endpoints[0].url}/v1/registry").json()["experiment"]
    assert shown["outcome"] == "rejected"
    assert {(pair["champion"], pair["challenger"]) for pair in shown["evidence"]["pairs"]} == {
        ("cat", "dog"),
        ("dog", "cat"),
    }
    the_page_shows_the_pairs(endpoints[0].url, shown["evidence"]["pairs"])
