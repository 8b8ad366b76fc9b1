"""Moving whole objects: what may do it, and many requests side by side in bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from registry.errors import RegistryError

PARTS_AT_ONCE = 4
REQUESTS_AT_ONCE = 64
"""For small objects; clients keep as many connections open."""
SMALL_BYTES = 1024 * 1024
"""Up to here an object is small: the time it takes is the wait for an answer, and many of them fit into memory."""


@dataclass(frozen=True, kw_only=True)
class PendingRequest[T]:
    """A request that is in flight."""

    result: Callable[[], T]
    """Waits until it has ended and returns its result; may be called once."""
    cancel: Callable[[], object]
    """Cancels it: its result is no longer needed."""


class Transfer(Protocol):
    """Something that moves whole objects faster than the client does: `registry.store.crt_transfer`."""

    def create(self, bucket: str, key: str, body: bytes) -> None:
        """Store `body` unless the key is taken: ObjectExists, StoreConflict, StoreUnavailable, StoreRefused."""
        ...

    def begin_create(self, bucket: str, key: str, body: bytes) -> PendingRequest[None]:
        """Begin to store `body`; the result raises what `create` raises."""
        ...

    def begin_get(self, bucket: str, key: str, *, check: Callable[[Mapping[str, str]], None]) -> PendingRequest[bytes]:
        """Begin to read a small object; the result raises what `receive` raises, and StreamTorn."""
        ...

    def receive(
        self,
        bucket: str,
        key: str,
        take: Callable[[bytes], object],
        *,
        size: int | None,
        check: Callable[[Mapping[str, str]], None],
    ) -> None:
        """Pass the object's bytes to `take`, in order. ObjectMissing and the others.

        `check` gets the headers of the response, also of one that is an error, and may raise.
        """
        ...


def in_order[A, B](
    work: Callable[[A], B], items: Iterable[A], *, at_once: int = PARTS_AT_ONCE, waiting: int = 1
) -> Iterator[B]:
    """The results in the order of `items`: at most `at_once` at work, and `waiting` more taken from `items`."""
    with ThreadPoolExecutor(at_once) as pool:
        ahead: deque[Future[B]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) >= at_once + waiting:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def get_each(get: Callable[[str], bytes], keys: Iterable[str]) -> Generator[bytes]:
    """`ObjectStore.get_each` with a thread for each request."""
    yield from in_order(get, keys, at_once=REQUESTS_AT_ONCE)


def create_each(
    create: Callable[[str, bytes], None], objects: Iterable[tuple[str, bytes]]
) -> Generator[RegistryError | None]:
    """`ObjectStore.create_each` with a thread for each request."""
    yield from in_order(lambda each: outcome_of(lambda: create(*each)), objects, at_once=REQUESTS_AT_ONCE)


def outcome_of(create: Callable[[], None]) -> RegistryError | None:
    """Returns the error that `create` raises; None if it succeeds."""
    try:
        create()
    except RegistryError as error:
        return error
    return None


def side_by_side[A, B](
    begin: Callable[[A], PendingRequest[B]], items: Iterable[A], *, at_once: int = REQUESTS_AT_ONCE
) -> Generator[PendingRequest[B]]:
    """Begin a request for each item, in order; at most `at_once` are in flight or not yet consumed.

    One thread does it all. A thread per request takes twice the CPU time, because arriving data wakes one of the
    threads, which then waits for the interpreter's lock.
    """
    ahead: deque[PendingRequest[B]] = deque()
    try:
        for item in items:
            if len(ahead) >= at_once:
                yield ahead.popleft()
            ahead.append(begin(item))
        while ahead:
            yield ahead.popleft()
    finally:
        for begun in ahead:
            begun.cancel()
