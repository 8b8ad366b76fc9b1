"""A data lake with 30 recorded photos and a sample of 12 of them; modules that need other numbers override these."""

from __future__ import annotations

from typing import Any

import pytest

from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import Place
from tests.petpark.labels.recorded_photos import copied, draw, record


@pytest.fixture(scope="module")
def recorded() -> MemoryStore:
    store = MemoryStore()
    record(store, photos=30)
    return store


@pytest.fixture
def place(recorded: MemoryStore) -> Place:
    return Place(buckets={"lake": copied(recorded)})


@pytest.fixture
def sample(place: Place) -> Any:
    return draw(place, count=12)
