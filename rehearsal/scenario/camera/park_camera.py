"""A camera of the rehearsed park: MJPEG over HTTP, as cheap cameras speak it, before which animals walk by in turn."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from PIL import Image, ImageOps

FRAMES_A_SECOND = 10
SECONDS_EACH = 10
"""How long each animal is before the camera."""
_SIZE = 320
_SWAY = 0.08
"""Share of a picture's width by which what it shows moves, so that somebody who looks for motion finds it."""


class ParkCamera:
    """Streams `animals` (bytes of photos) one after the other, repeatedly, to each client of `url`."""

    def __init__(self, animals: Sequence[bytes], *, frames_a_second: float = FRAMES_A_SECOND) -> None:
        self._pause = 1 / frames_a_second
        self._frames = [frame for animal in animals for frame in walk_by(animal)]
        self._over = threading.Event()

    def __enter__(self) -> Self:
        frames, pause, over = self._frames, self._pause, self._over

        class Handler(_Handler):
            def do_GET(self) -> None:
                self.stream(frames, pause, over)

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="park camera", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where the stream is."""
        return f"http://127.0.0.1:{self._server.server_port}/stream.mjpg"


def walk_by(animal: bytes) -> list[bytes]:
    """The frames (JPEG, square) of `SECONDS_EACH` seconds in which an animal moves to and fro before the camera."""
    with Image.open(io.BytesIO(animal)) as photo:
        wide = round(_SIZE * (1 + _SWAY))
        scenery = ImageOps.fit(photo.convert("RGB"), (wide, _SIZE), Image.Resampling.BICUBIC)
    sway = wide - _SIZE
    count = FRAMES_A_SECOND * SECONDS_EACH
    views = [_encoded(scenery.crop((left, 0, left + _SIZE, _SIZE))) for left in range(sway + 1)]
    return [views[round(sway * (1 - abs(1 - 2 * number / (count - 1))))] for number in range(count)]


def _encoded(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A viewer that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    def stream(self, frames: Sequence[bytes], pause: float, over: threading.Event) -> None:
        """Send frames, `pause` seconds apart, until the camera is switched off or the viewer leaves."""
        self.send_response(200)
        self.send_header("content-type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for frame in itertools.cycle(frames):
            head = f"--frame\r\ncontent-type: image/jpeg\r\ncontent-length: {len(frame)}\r\n\r\n"
            self.wfile.write(head.encode() + frame + b"\r\n")
            if over.wait(pause):
                return

    def log_message(self, format: str, *args: object) -> None:
        """A viewer that came is no news either."""
