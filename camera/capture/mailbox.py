"""A queue of length one: a new item replaces the old one."""

import threading


class Mailbox[T]:
    """Holds the newest item until it is taken."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._held: T | None = None
        self._closed = False

    def put(self, thing: T) -> bool:
        """Put an item. Returns whether it replaced one that was not taken."""
        with self._news:
            replaced = self._held is not None
            self._held = thing
            self._news.notify()
            return replaced

    def take(self, seconds: float) -> T | None:
        """Returns the item, waiting at most this many seconds; None if there is none."""
        with self._news:
            self._news.wait_for(lambda: self._held is not None or self._closed, seconds)
            thing, self._held = self._held, None
            return thing

    def close(self) -> None:
        """Wake waiting threads; no further item will come."""
        with self._news:
            self._closed = True
            self._news.notify_all()
