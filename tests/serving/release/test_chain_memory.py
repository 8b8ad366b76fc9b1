"""The pages and the promotion service read of a long log only what this machine does not know yet."""

from types import SimpleNamespace
from typing import Any

import pytest

from registry.channel_policy import STRICT
from registry.channels.channel import Channel
from registry.layout.model_store import channel_entry_key, channel_prefix
from registry.logs.chain_memory import ChainMemory
from serving.pages.registry_view import RegistryView
from serving.pages.rollback import PromoterSessions
from tests.registry.logs.test_chain_memory import ENTRIES, Counted, write

LAST = channel_entry_key("pets", "prod", ENTRIES - 1)


@pytest.fixture
def store() -> Counted:
    store = Counted()
    write(store, range(1, ENTRIES))
    return store


@pytest.fixture
def memory(store: Counted, tmp_path) -> ChainMemory:
    memory = ChainMemory(tmp_path, store="models")
    Channel(store, "pets", "prod", memory=memory).head()
    store.asked.clear()
    return memory


def entries_asked_for(store: Counted) -> set[str]:
    return {key for key in store.asked if key.startswith(channel_prefix("pets", "prod"))}


def test_the_pages_read_the_last_entry_of_a_log_that_this_machine_knows(store: Counted, memory: ChainMemory):
    document: Any = RegistryView(store, "pets", follows="prod", verifier=None, memory=memory).look()
    (channel,) = document["channels"]
    assert (channel["error"], channel["moves"][0]["number"]) == (None, ENTRIES - 1)
    assert entries_asked_for(store) == {LAST, channel_entry_key("pets", "prod", ENTRIES)}


def test_a_promotion_reads_the_last_entry_of_a_log_that_this_machine_knows(
    store: Counted, memory: ChainMemory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("serving.pages.rollback.S3Store", lambda *_: store)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    settings: Any = SimpleNamespace(model_store="models", model="pets", channel="prod", rule=STRICT)
    service = PromoterSessions(settings, role="role", signing_key="key", memory=memory)._service(
        {"AccessKeyId": "AKIA7", "SecretAccessKey": "x", "SessionToken": "y"}
    )
    head = service.channel.head()
    assert head is not None
    assert head.number == ENTRIES - 1
    assert entries_asked_for(store) == {LAST}
