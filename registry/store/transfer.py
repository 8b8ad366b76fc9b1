"""Moving whole objects: what may do it, and many requests side by side in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

PARTS_AT_ONCE = 4
REQUESTS_AT_ONCE = 64
"""For small objects; clients keep as many connections open."""
SMALL_BYTES = 1024 * 1024
"""Up to here an object is small: the time it takes is the wait for an answer, and many of them fit into memory."""


class Transfer(Protocol):
    """Something that moves whole objects faster than the client does: `registry.store.crt_transfer`."""

    def create(self, bucket: str, key: str, body: bytes) -> None:
        """Store `body` unless the key is taken: ObjectExists, StoreConflict, StoreUnavailable, StoreRefused."""
        ...

    def receive(
        self,
        bucket: str,
        key: str,
        take: Callable[[bytes], object],
        *,
        size: int | None,
        check: Callable[[Mapping[str, str]], None],
        whole: bool = False,
    ) -> None:
        """Pass the object's bytes to `take`, in order. ObjectMissing and the others.

        `whole`: in one piece, with the checksum that the store keeps among the headers.
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


def by_size[A, B](work: Callable[[A], B], items: Sequence[A], *, size: Callable[[A], int]) -> list[B]:
    """The results in the order of `items`: small objects `REQUESTS_AT_ONCE`, the others `PARTS_AT_ONCE` at a time.

    The first error is raised when all that were begun have ended.
    """
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as small, ThreadPoolExecutor(PARTS_AT_ONCE) as large:
        begun = [(small if size(item) <= SMALL_BYTES else large).submit(work, item) for item in items]
        try:
            return [future.result() for future in begun]
        finally:
            for future in begun:
                future.cancel()
