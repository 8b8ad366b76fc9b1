"""What a machine remembers of a log saves requests, and changes nothing about what it takes for true."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.channels.channel import Channel, ChannelEntry
from registry.errors import HistoryBroken
from registry.layout.model_store import channel_entry_key, channel_prefix
from registry.logs.chain_memory import WORTH_KEEPING, ChainMemory
from registry.store.memory_store import MemoryStore
from tests.examples import examples

ENTRIES = WORTH_KEEPING + 5


class Counted(MemoryStore):
    """A store that notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get(self, key: str) -> bytes:
        self.asked.append(key)
        return super().get(key)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        self.asked.append(f"list after {after.rpartition('/')[2]}")
        return super().keys(prefix, after=after)


def write(store: MemoryStore, numbers: range, *, who: str = "otto", before: ChannelEntry | None = None) -> ChannelEntry:
    for number in numbers:
        if store.stat(channel_entry_key("pets", "prod", number)) is not None:
            continue
        before = ChannelEntry(
            channel="prod", number=number, version=number % 7 + 1, digest=f"sha256:{number % 7:064x}", by=who, why="x",
            previous=before.version if before else None, restores=None, at="2026-01-01T00:00:00.000000Z",
            write_id=f"{number:032x}", previous_sha256=before.sha256 if before else None,
        )  # fmt: skip
        store.create(channel_entry_key("pets", "prod", number), before.to_bytes())
    assert before is not None
    return before


@pytest.fixture
def store() -> Counted:
    store = Counted()
    store.create(channel_entry_key("pets", "prod", 3), b"junk")
    write(store, range(1, ENTRIES))
    return store


@pytest.fixture
def memory(tmp_path: Path) -> ChainMemory:
    return ChainMemory(tmp_path, store="models")


def known(store: MemoryStore, memory: ChainMemory | None) -> tuple[list[ChannelEntry], int, list[int]]:
    channel = Channel(store, "pets", "prod", memory=memory)
    return channel.history(), channel.chain.next_number, sorted(channel.passed_over)


def test_a_second_process_asks_for_the_last_entry_and_for_what_came_since(store: Counted, memory: ChainMemory) -> None:
    assert known(store, memory) == known(store, None)
    last = write(store, range(ENTRIES, ENTRIES + 2), before=Channel(store, "pets", "prod", memory=memory).head())
    store.asked.clear()
    assert Channel(store, "pets", "prod", memory=memory).head() == last
    assert store.asked == [
        channel_entry_key("pets", "prod", ENTRIES - 1),
        f"list after {ENTRIES - 1:08d}.json",
        channel_entry_key("pets", "prod", ENTRIES),
        channel_entry_key("pets", "prod", ENTRIES + 1),
    ]
    assert known(store, memory) == known(store, None)


def test_a_short_log_is_not_worth_a_file(memory: ChainMemory) -> None:
    store = Counted()
    write(store, range(1, 20))
    known(store, memory)
    assert memory.load(channel_prefix("pets", "prod")) == ()


@pytest.mark.parametrize("other", ["another log of that name", "an empty log"])
def test_what_does_not_fit_the_store_is_forgotten(store: Counted, memory: ChainMemory, other: str) -> None:
    known(store, memory)
    elsewhere = Counted()
    if other == "another log of that name":
        write(elsewhere, range(1, ENTRIES + 9), who="mia")
    assert known(elsewhere, memory) == known(elsewhere, None)


def drop(body: bytes, at: int) -> bytes:
    return body[:at] + body[at + 1 :]


def change(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def end(body: bytes, at: int) -> bytes:
    return body[:at]


def far(body: bytes, at: int) -> bytes:
    return body[:at] + b'\n{"number": 99999999}\n' + body[at:]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(25))
@given(damage=st.sampled_from([drop, change, end, far]), at=st.integers(0, 10_000))
def test_a_damaged_file_changes_nothing_but_the_time_it_takes(
    store: Counted, tmp_path: Path, damage: Callable[[bytes, int], bytes], at: int
) -> None:
    memory = ChainMemory(tmp_path, store="models")
    known(store, memory)
    (file,) = tmp_path.rglob("*.jsonl")
    whole = file.read_bytes()
    file.write_bytes(damage(whole, at % len(whole)))
    assert known(store, memory) == known(store, None)
    file.unlink()


def test_a_break_behind_what_is_remembered_breaks_it_as_for_everybody(store: Counted, memory: ChainMemory) -> None:
    known(store, memory)
    head = Channel(store, "pets", "prod").head()
    assert head is not None
    foreign = replace(head, number=ENTRIES, previous_sha256="0" * 64)
    store.create(channel_entry_key("pets", "prod", ENTRIES), foreign.to_bytes())
    channel = Channel(store, "pets", "prod", memory=memory)
    with pytest.raises(HistoryBroken):
        channel.head()
    assert channel.sure == head


def test_a_folder_that_cannot_be_written_is_no_error(store: Counted, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in its way")
    assert known(store, ChainMemory(tmp_path, store="models")) == known(store, None)
