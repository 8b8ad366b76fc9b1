"""Moving whole objects: what may do it, and the parts of one side by side."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

PARTS_AT_ONCE = 4


class Transfer(Protocol):
    """Something that moves whole objects faster than the client does: `registry.crt_transfer`."""

    def create(self, bucket: str, key: str, body: bytes) -> None:
        """Store `body` unless the key is taken: ObjectExists, StoreConflict, StoreUnavailable, StoreRefused."""
        ...

    def receive(self, bucket: str, key: str, take: Callable[[bytes], object], *, size: int | None) -> Mapping[str, str]:
        """Hand the object's bytes to `take`, in order; the response's headers. ObjectMissing and the others."""
        ...


def in_order[A, B](work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """The results in order, at most PARTS_AT_ONCE at work and one waiting."""
    with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        ahead: deque[Future[B]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) > PARTS_AT_ONCE:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
