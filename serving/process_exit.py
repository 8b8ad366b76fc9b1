"""Exit of a process with native threads."""

import os
import sys
from typing import NoReturn


def end(code: int) -> NoReturn:
    """Exit immediately with status `code`, without Python's finalization.

    Finalization unwinds daemon threads, and a thread inside gRPC or ONNX Runtime (C++) or Granian (Rust) then aborts
    the process (python/cpython#87135; Python 3.14 lets them hang). Call it last: once responses are sent, logs flushed
    and files closed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
