"""What this machine lets petpark do: pure decisions over facts about it."""

from __future__ import annotations

import sys
from typing import Final

REHEARSAL_MEMORY: Final = 4 * 10**9
"""Bytes. A rehearsal's processes take up to 3.5 GB together, while it deploys two stacks and trains."""

_WORKER_MEMORY: Final = 2.5 * 10**9
_REST_MEMORY: Final = 10**9  # the system and an editor
_MOST_WORKERS: Final = 4

_INSTEAD: Final = {
    "darwin": "in a Linux virtual machine or container on this Mac (Lima, Colima, Docker), in a clone of its own",
    "win32": "in the Windows Subsystem for Linux, in a clone of its own",
}


def unsupported(platform: str = sys.platform) -> str | None:
    """Why no rehearsal can run on `platform` (as `sys.platform` has it), and what to do instead; None if it can.

    The commands that act on an AWS account run on every Unix.
    """
    if platform == "linux":
        return None
    name = {"darwin": "macOS", "win32": "Windows"}.get(platform, platform)
    return (
        f"A rehearsal needs Linux, and this is {name}: its instances are process trees that Linux keeps together "
        "(prctl, /proc), at addresses 127.x.y.z of their own, running their user data with the tools of Amazon Linux "
        f"(sha256sum, timeout). Rehearse {_INSTEAD.get(platform, 'on a Linux machine')}; "
        "the commands that act on an AWS account work here."
    )


def workers_for_tests(memory: int, cores: int) -> int:
    """Returns the number of test processes: one more than `cores`, because some tests wait, and at most four.

    Each takes half a minute of processor time before its first test, for imports, LocalStack and PyTorch's server of
    forks. Fewer if `memory` (bytes) is short.
    """
    return max(1, min(_MOST_WORKERS, cores + 1, int((memory - _REST_MEMORY) // _WORKER_MEMORY)))
