"""Requests that keep flowing while a release moves, so that a dropped one is seen."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self

import httpx


@dataclass(frozen=True, kw_only=True)
class TrafficReport:
    """What became of the requests: answers by version, and what went wrong, in the client's own words."""

    answered: dict[int, int]
    failures: tuple[str, ...]

    @property
    def requests(self) -> int:
        """All requests sent."""
        return sum(self.answered.values()) + len(self.failures)


@dataclass
class Traffic:
    """`clients` threads that post `photos` to every endpoint, one request after the other, until the block ends.

    `keys` are the API keys of those endpoints that ask for one.

    Every answer that is not 200 counts as a failure, and so does every broken connection: nothing is tried twice.
    """

    endpoints: Sequence[str]
    photos: Sequence[bytes]
    keys: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    clients: int = 1
    timeout: float = 10.0
    _answered: Counter[int] = field(default_factory=Counter[int], init=False)
    _failures: list[str] = field(default_factory=list[str], init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread], init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __enter__(self) -> Self:
        for endpoint in self.endpoints:
            for _ in range(self.clients):
                thread = threading.Thread(target=self._client, args=(endpoint,), daemon=True)
                thread.start()
                self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=2 * self.timeout)

    def report(self) -> TrafficReport:
        """What happened so far."""
        with self._lock:
            return TrafficReport(answered=dict(self._answered), failures=tuple(self._failures))

    def _client(self, endpoint: str) -> None:
        headers = {"content-type": "image/jpeg"}
        if key := self.keys.get(endpoint):
            headers["authorization"] = f"Bearer {key}"
        with httpx.Client(base_url=endpoint, timeout=self.timeout, trust_env=False, headers=headers) as client:
            number = 0
            while not self._stop.is_set():
                photo = self.photos[number % len(self.photos)]
                number += 1
                try:
                    answer = client.post("/v1/classify", content=photo)
                    version = int(answer.json()["model"]["version"]) if answer.status_code == HTTPStatus.OK else None
                    problem = "" if version is not None else f"{endpoint}: {answer.status_code} {answer.text[:200]}"
                except (httpx.HTTPError, ValueError, KeyError) as error:
                    version, problem = None, f"{endpoint}: {type(error).__name__} {error}"
                with self._lock:
                    if version is None:
                        self._failures.append(problem)
                        self._stop.wait(0.05)  # a dead endpoint must not fill the memory
                    else:
                        self._answered[version] += 1
