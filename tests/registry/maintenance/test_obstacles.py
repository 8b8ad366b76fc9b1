"""What blocks a registry's logs, and when it may be declared void."""

from pathlib import Path

import pytest

from registry.channels.channel import Channel
from registry.encoding import sha256_hex
from registry.errors import HistoryBroken, ObjectRewritten, VersionMalformed
from registry.logs.repairs import Repairs
from registry.maintenance import obstacles
from registry.store.memory_store import MemoryStore
from registry.store.object_store import PrunableStore
from registry.versions.catalog import Catalog

FIRST, THIRD = "pets/channels/prod/00000001.json", "pets/channels/prod/00000003.json"


@pytest.fixture
def registry(files: dict[str, Path]) -> PrunableStore:
    """Two versions and two channel entries."""
    store = MemoryStore()
    catalog, prod = Catalog(store, "pets"), Channel(store, "pets", "prod")
    for run in ("r-1", "r-2"):
        prod.move(catalog.publish(files, labels=["cat"], metrics={}, lineage={"run": run}), by="mia", why="")
    return store


def test_a_sound_registry_has_no_obstacles(registry: PrunableStore) -> None:
    assert obstacles.find(registry, "pets") == []


@pytest.mark.parametrize(
    ("key", "problem"),
    [(THIRD, HistoryBroken), ("pets/versions/00000003.json", VersionMalformed)],
    ids=["entry", "version"],
)
def test_an_obstacle_has_its_key_and_its_bytes_and_is_gone_when_it_was_declared_void(
    registry: PrunableStore, key: str, problem: type[Exception]
) -> None:
    body = registry.get(FIRST)  # an entry in another place, and no version at all
    registry.create(key, body)
    (one,) = obstacles.find(registry, "pets")
    assert (one.key, one.body, one.sha256, type(one.problem)) == (key, body, sha256_hex(body), problem)
    repair = obstacles.declare(Repairs(registry, "pets"), one, by="rita", why="a test of the network")
    assert (repair.by, repair.why) == ("rita", "a test of the network")
    assert obstacles.find(registry, "pets") == []


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "replaced"])
@pytest.mark.parametrize("key", ["pets/channels/prod/00000001.json", "pets/versions/00000001.json"])
def test_while_an_object_is_deleted_or_replaced_nothing_can_be_declared(
    registry: PrunableStore, key: str, deleted: bool
) -> None:
    registry.delete(key)
    if not deleted:
        registry.create(key, b"something else")
    with pytest.raises(ObjectRewritten) as refused:
        obstacles.find(registry, "pets")
    assert key in str(refused.value)
    assert ("is a deletion" in str(refused.value)) == deleted
