"""A channel's moves: one after the other, chained, undone one by one."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from registry.channels.channel import Channel, ChannelEntry
from registry.errors import ChannelMoved, HistoryBroken, MoveMalformed, NameRefused, NothingToRollBackTo
from registry.layout.model_store import channel_entry_key
from registry.store.memory_store import MemoryStore
from registry.store.object_store import PrunableStore
from registry.version import StoredFile, Version
from tests.registry.faulty_store import Fault, FaultyStore, only_at


def version(number: int) -> Version:
    return Version(
        model="pets",
        number=number,
        created_at="2026-01-01T00:00:00.000000Z",
        files=(StoredFile(name="model.onnx", sha256=f"{number:064x}", bytes=1),),
        labels=("cat", "dog"),
        metrics={},
        lineage={},
    )


def moved(store: PrunableStore, *numbers: int) -> Channel:
    channel = Channel(store, "pets", "prod", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    for number in numbers:
        channel.move(version(number), by="mia", why=f"try {number}")
    return channel


def in_force(channel: Channel) -> int:
    head = channel.head()
    assert head is not None
    return head.version


def test_a_channel_that_never_moved_has_no_head(store: PrunableStore) -> None:
    channel = moved(store)
    assert channel.head() is None
    assert channel.after(0) is None
    assert channel.history() == []


def test_the_head_is_the_last_move_and_carries_why(store: PrunableStore) -> None:
    channel = moved(store, 1, 2)
    head = channel.head()
    assert head is not None
    assert (head.number, head.version, head.digest, head.previous) == (2, 2, version(2).digest, 1)
    assert (head.by, head.why, head.at) == ("mia", "try 2", "2026-01-01T00:00:00.000000Z")


def test_a_follower_learns_of_each_move_by_one_request(store: PrunableStore) -> None:
    channel = moved(store, 1, 2)
    counted = FaultyStore(store, lambda _: None)
    follower = Channel(counted, "pets", "prod")
    assert [move and move.version for move in map(follower.after, range(3))] == [1, 2, None]
    assert counted.calls == 3
    channel.roll_back(by="mia", why="worse")
    move = follower.after(2)
    assert move is not None
    assert move.version == 1


def test_every_entry_carries_the_hash_of_the_one_before(store: PrunableStore) -> None:
    history = moved(store, 1, 2, 3).history()
    assert [move.previous_sha256 for move in history] == [None, history[0].sha256, history[1].sha256]
    assert len({move.write_id for move in history}) == 3


def test_a_move_based_on_an_old_entry_is_refused_with_what_is_there(store: PrunableStore) -> None:
    channel = moved(store, 1, 2)
    with pytest.raises(ChannelMoved) as refusal:
        channel.move(version(3), by="tom", why="late", expected=1)
    assert refusal.value.entry == 2
    assert refusal.value.actual == "entry 2: version 2 by mia (try 2)"
    assert in_force(channel) == 2
    assert channel.move(version(3), by="tom", why="seen", expected=2).number == 3


def test_a_first_move_can_insist_on_being_the_first(store: PrunableStore) -> None:
    channel = moved(store)
    channel.move(version(1), by="mia", why="start", expected=0)
    with pytest.raises(ChannelMoved):
        channel.move(version(2), by="tom", why="start", expected=0)


class Raced(MemoryStore):
    """Another writer takes the number between our look and our write."""

    def __init__(self) -> None:
        super().__init__()
        self.armed = False

    def create(self, key: str, body: bytes) -> None:
        if self.armed:
            self.armed = False
            moved(self, 7)
        super().create(key, body)


def test_the_loser_of_a_race_sees_the_winners_move() -> None:
    store = Raced()
    channel = moved(store, 1)
    store.armed = True
    with pytest.raises(ChannelMoved) as refusal:
        channel.move(version(2), by="tom", why="slow")
    assert (refusal.value.entry, refusal.value.actual.split(" by ")[0]) == (2, "entry 2: version 7")
    assert [move.version for move in channel.history()] == [1, 7]


def test_a_lost_answer_is_not_taken_for_a_lost_race(store: PrunableStore) -> None:
    moved(store, 1)
    channel = moved(FaultyStore(store, only_at(2, Fault.DROP_AFTER)))  # after one listing and one read: the write
    assert channel.move(version(2), by="mia", why="unlucky").number == 2
    assert [move.version for move in moved(store).history()] == [1, 2]


def test_roll_back_brings_back_the_version_before(store: PrunableStore) -> None:
    channel = moved(store, 1, 2)
    move = channel.roll_back(by="mia", why="worse")
    assert (move.number, move.version, move.digest, move.previous, move.restores) == (3, 1, version(1).digest, 2, 1)


def test_roll_back_again_goes_one_further_and_never_forward(store: PrunableStore) -> None:
    channel = moved(store, 1, 2, 3)
    assert channel.roll_back(by="mia", why="worse").version == 2
    assert channel.roll_back(by="mia", why="also bad").version == 1
    with pytest.raises(NothingToRollBackTo):
        channel.roll_back(by="mia", why="and now?")


def test_roll_back_after_new_moves_undoes_those(store: PrunableStore) -> None:
    channel = moved(store, 1, 2, 3)
    channel.roll_back(by="mia", why="3 is worse")
    moved(store, 4)
    assert channel.roll_back(by="mia", why="4 is worse").version == 2
    assert channel.roll_back(by="mia", why="2 too").version == 1


def test_roll_back_sees_through_a_version_that_was_promoted_twice(store: PrunableStore) -> None:
    channel = moved(store, 1, 2, 1, 1)
    assert channel.roll_back(by="mia", why="back").version == 2
    assert channel.roll_back(by="mia", why="further").version == 1
    with pytest.raises(NothingToRollBackTo):
        channel.roll_back(by="mia", why="and now?")


def test_roll_back_to_a_named_version_needs_it_to_have_been_in_force(store: PrunableStore) -> None:
    channel = moved(store, 1, 2, 3)
    assert channel.roll_back(by="mia", why="known good", to=1).version == 1
    for never in (1, 9):
        with pytest.raises(NothingToRollBackTo):
            channel.roll_back(by="mia", why="?", to=never)


def test_a_channel_that_never_moved_cannot_be_rolled_back(store: PrunableStore) -> None:
    with pytest.raises(NothingToRollBackTo):
        moved(store).roll_back(by="mia", why="?")


def test_channels_and_models_do_not_see_each_other(store: PrunableStore) -> None:
    moved(store, 1)
    assert Channel(store, "pets", "prod-2").head() is None
    assert Channel(store, "pet", "prod").head() is None


@pytest.mark.parametrize("name", ["", "Prod", "a/b", "..", "-a"])
def test_a_channel_name_is_a_plain_word(name: str) -> None:
    with pytest.raises(NameRefused):
        Channel(MemoryStore(), "pets", name)


def rewritten(history: list[ChannelEntry]) -> Channel:
    store = MemoryStore()
    for place, move in enumerate(history, start=1):
        store.create(channel_entry_key("pets", "prod", place), move.to_bytes())
    return Channel(store, "pets", "prod")


def test_rewritten_history_is_found() -> None:
    first, second, third = moved(MemoryStore(), 1, 2, 3).history()
    assert len(rewritten([first, second, third]).history()) == 3
    with pytest.raises(HistoryBroken, match="entry 3"):
        rewritten([first, replace(second, why="nothing to see"), third]).history()


def test_reordered_history_is_found() -> None:
    first, second, third = moved(MemoryStore(), 1, 2, 3).history()
    with pytest.raises(HistoryBroken):
        rewritten([first, third, second]).history()
    with pytest.raises(HistoryBroken):
        rewritten([first, third]).head()


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0},
        {"number": 1},
        {"version": -1},
        {"digest": "sha256:abc"},
        {"at": "noon"},
        {"write_id": ""},
        {"previous": None},
        {"previous_sha256": None},
        {"restores": 2},
        {"restores": 0},
        {"channel": "../prod"},
        {"extra": 1},
    ],
)
def test_a_stored_move_of_another_shape_is_malformed(change: dict[str, object]) -> None:
    move = moved(MemoryStore(), 1, 2).history()[1]
    assert ChannelEntry.from_bytes(move.to_bytes()) == move
    document = json.dumps({**move.to_dict(), **change}, separators=(",", ":"), sort_keys=True).encode()
    with pytest.raises(MoveMalformed):
        ChannelEntry.from_bytes(document)


def test_a_walk_that_keeps_nothing_holds_roll_backs_against_what_was_put_into_force(store: PrunableStore) -> None:
    channel = Channel(store, "pets", "prod")
    for number in (1, 2, 3):
        channel.move(version(number), by="otto", why="x")
    channel.roll_back(by="otto", why="x")
    channel.roll_back(by="otto", why="x")
    walked = list(Channel(store, "pets", "prod").chain.walk())
    assert walked == channel.history()
    head = channel.history()[-1]
    forged = replace(head, number=6, previous=1, restores=3, previous_sha256=head.sha256)
    store.create(channel_entry_key("pets", "prod", 6), forged.to_bytes())
    with pytest.raises(HistoryBroken, match="to restore what entry 3 put into force"):
        list(Channel(store, "pets", "prod").chain.walk())


def test_a_rollback_and_a_rollback_of_it_name_the_forward_move_that_set_their_version():
    channel = moved(MemoryStore(), 1, 2, 3)
    back = channel.roll_back(by="mia", why="worse")
    further = channel.roll_back(by="mia", why="worse still")
    moves = channel.history()
    assert [channel.origin(move).number for move in moves] == [1, 2, 3, 2, 1]
    assert (back.restores, further.restores) == (2, 1)
    assert channel.origin(back) == moves[1]
    assert channel.recent(2) == moves[-2:]
    assert channel.recent(99) == moves


def test_an_entry_is_found_by_its_number_and_none_by_another():
    store = MemoryStore()
    store.create(channel_entry_key("pets", "prod", 2), b"junk")
    channel = moved(store, 1, 2, 3)
    channel.head()
    chain = channel.chain
    assert [entry.number for entry in chain.entries] == [1, 3, 4]
    assert {number: found.number for number in range(7) if (found := chain.at(number))} == {1: 1, 3: 3, 4: 4}
    assert [(found.number if (found := chain.before(number)) else None) for number in range(1, 7)] == [
        None, 1, 1, 3, 4, 4,
    ]  # fmt: skip
    assert chain.next_number == 5


def test_an_entry_behind_a_hole_names_the_hole_and_its_writer():
    store = MemoryStore()
    moved(store, 1, 2, 3, 4)
    store.delete(channel_entry_key("pets", "prod", 2))
    for read in (Channel.head, lambda channel: list(channel.chain.walk())):
        with pytest.raises(HistoryBroken) as broken:
            read(Channel(store, "pets", "prod"))
        assert "entry 2" in broken.value.expected
        assert broken.value.actual == "a hole before entry 3, by mia at 2026-01-01T00:00:00.000000Z"


def test_a_walk_gives_every_entry_and_keeps_the_last():
    store = MemoryStore()
    moved(store, 1, 2, 3)
    chain = Channel(store, "pets", "prod").chain
    seen = [(entry.number, [kept.number for kept in chain.entries]) for entry in chain.walk()]
    assert seen == [(1, [1]), (2, [2]), (3, [3])]


def test_who_comes_too_late_learns_of_the_last_move():
    channel = moved(MemoryStore(), 1, 2)
    for act in (
        lambda: channel.move(version(3), by="ana", why="late", expected=1),
        lambda: channel.roll_back(by="ana", why="late", expected=1),
    ):
        with pytest.raises(ChannelMoved) as refused:
            act()
        assert refused.value.entry == 2
        assert refused.value.expected == "channel prod at entry 1"
        assert refused.value.actual == "entry 2: version 2 by mia (try 2)"
    with pytest.raises(ChannelMoved) as refused:
        moved(MemoryStore()).roll_back(by="ana", why="late", expected=1)
    assert (refused.value.entry, refused.value.actual) == (0, "no entry")
