"""What every emulator's process does: it ends with its parent, and serves on the socket that it inherits.

Environment: `PETPARK_EMULATOR_SOCKET`, the number of an inherited file descriptor that is already bound. Standard
input is a pipe from the parent; its end means that the parent is gone. Uses hypercorn and the standard library only.
"""

import os
import signal
import sys
import threading
from typing import Any

KEEP_ALIVE_SECONDS = 24 * 3600
"""AWS SDKs keep idle connections and repeat a call whose connection closed under it. The server's 5 seconds made them
send `Create...` calls twice; a rehearsal never outlives a day."""


def begin() -> None:
    """Call it before anything of the emulator is imported."""
    from petpark_emulator import loopback_only

    _end_with_parent()
    loopback_only.apply()
    _configure_server(int(os.environ["PETPARK_EMULATOR_SOCKET"]))


def _end_with_parent() -> None:
    """Kill the whole process group when standard input ends: the parent is gone, in whatever way."""

    def wait_for_the_end() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait_for_the_end, name="end-with-parent", daemon=True).start()


def _configure_server(socket_number: int) -> None:
    """Make the emulator's HTTP server use the inherited socket, whatever it is told, and keep idle connections open."""
    from hypercorn import config as hypercorn

    config: Any = hypercorn.Config
    config.bind = property(lambda _: [f"fd://{socket_number}"], lambda _config, _value: None)
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = sys.maxsize
