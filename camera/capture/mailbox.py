"""A place for one thing: the newest wins."""

import threading


class Mailbox[T]:
    """Holds what came last and was not taken yet."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._held: T | None = None
        self._closed = False

    def put(self, thing: T) -> bool:
        """Put an item; returns whether it replaced one that was not taken."""
        with self._news:
            replaced = self._held is not None
            self._held = thing
            self._news.notify()
            return replaced

    def take(self, seconds: float) -> T | None:
        """Take what is there, or comes within this time."""
        with self._news:
            self._news.wait_for(lambda: self._held is not None or self._closed, seconds)
            thing, self._held = self._held, None
            return thing

    def close(self) -> None:
        """Wake waiting threads: no further item comes."""
        with self._news:
            self._closed = True
            self._news.notify_all()
