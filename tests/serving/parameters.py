"""The log of an endpoint's API keys in memory, in a store that can go away."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from registry.encoding import canonical, parse_canonical
from registry.errors import StoreUnavailable
from registry.layout.model_store import api_keys_key, api_keys_prefix
from registry.store.memory_store import MemoryStore
from serving.auth.key_log import KeyLog
from serving.auth.key_record import ApiKey, KeyScope, hash_of, new_key
from tests.serving.park import NOW


class _Store(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked: list[str] = []

    def get(self, key: str) -> bytes:
        self._ask(key)
        return super().get(key)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        self._ask(prefix)
        return super().keys(prefix, after=after)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise StoreUnavailable(f"read {what}", "the store is away")


class Parameters:
    """Keys are made here as `petpark keys create` makes them."""

    prefix = api_keys_prefix("prod")

    def __init__(self) -> None:
        self.store = _Store()
        self.log = KeyLog(self.store, self.prefix, clock=lambda: NOW)

    @property
    def away(self) -> bool:
        return self.store.away

    @away.setter
    def away(self, away: bool) -> None:
        self.store.away = away

    def create(
        self,
        name: str = "camera",
        *,
        rate: float = 10,
        burst: int = 5,
        expires: datetime | None = None,
        scopes: tuple[KeyScope, ...] = (KeyScope.CLASSIFY,),
    ) -> str:
        key = new_key()
        self.keep(
            ApiKey(
                name=name,
                hash=hash_of(key),
                rate=rate,
                burst=burst,
                created=NOW,
                expires=expires,
                scopes=frozenset(scopes),
            )
        )
        return key

    def rotate(self, name: str, *, now: datetime, grace: timedelta) -> str:
        key = new_key()
        self.log.change(
            lambda state: {name: state.records[name].rotated(hash_of(key), now=now, grace=grace)}, by="mia", what=""
        )
        return key

    def revoke(self, name: str) -> None:
        self.log.change(lambda _: {name: None}, by="mia", what="")

    def keep(self, record: ApiKey) -> None:
        away, self.away = self.away, False  # it is away from the endpoint
        self.log.change(lambda _: {record.name: record}, by="mia", what="")
        self.away = away

    def spoil(self, name: str, document: object) -> None:
        """Put another object in place of a record, as another version of petpark might."""
        state = self.log.latest()
        key = api_keys_key(self.prefix, state.seen)
        fields = parse_canonical(self.store.get(key)).rest()
        changed = {"number": state.seen + 1, "keys": {**state.documents, name: document}}
        self.store.create(api_keys_key(self.prefix, state.seen + 1), canonical({**fields, **changed}))
