"""How a process that is full of native threads ends."""

import os
import sys
from typing import NoReturn


def end(code: int) -> NoReturn:
    """End at once, with `code`, without Python's own farewell.

    It kills daemon threads by unwinding them, and a thread inside gRPC or ONNX Runtime (C++) or Granian (Rust) then
    aborts the process (python/cpython#87135; Python 3.14 lets them hang). To be called when everything is done: answers
    given, logs flushed, files closed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
