"""Work that goes on beside the story, and never holds up its end."""

import threading
from collections.abc import Callable


class Beside:
    """Runs `work` in a thread that nothing waits for unless asked to: a rehearsal that ends early leaves it behind.

    A pool's threads would be waited for when the interpreter ends, a minute or more for a deployment under way.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> None:
        """Wait for the end of the work, and raise what it raised. The main thread keeps hearing Ctrl-C meanwhile."""
        while self._thread.is_alive():
            self._thread.join(0.1)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  told to whoever asks for the result
            self._error = error
