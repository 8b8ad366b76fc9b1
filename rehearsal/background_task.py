"""Background work that never delays the end of a rehearsal."""

import threading
from collections.abc import Callable
from typing import cast


class BackgroundTask[T]:
    """Runs `work` in a thread that nothing waits for unless asked to: a rehearsal that ends early leaves it behind.

    A pool's threads would be waited for when the interpreter ends, a minute or more for a deployment under way.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._found: T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, until: threading.Event) -> None:
        """Wait for something on the way, or for the end of the work; raise what that raised."""
        while not until.wait(0.1) and self._thread.is_alive():
            pass
        if not until.is_set():
            self.result()

    def result(self) -> T:
        """Wait for the end of the work, and raise what it raised. The main thread still handles Ctrl-C."""
        while self._thread.is_alive():
            self._thread.join(0.1)
        if self._error is not None:
            raise self._error
        return cast("T", self._found)

    def _run(self) -> None:
        try:
            self._found = self._work()
        except BaseException as error:  # noqa: BLE001  raised where the result is read
            self._error = error
