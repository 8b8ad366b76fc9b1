"""Cameras that are none: drawn pictures, a video of them, a real RTSP server that plays it, and faults in between."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from camera.classifier import Classifier
from tests.ports import free_port

TIMEOUT_SECONDS = 60.0
SERVER = """
import asyncio, sys
import aio_rtsp_toolkit.server as server
asyncio.run(server.serve(sys.argv[1], host="127.0.0.1", port=int(sys.argv[2])))
"""
VIDEO = "park.mp4"
RATE = 15
SOUND = 8_000
SOUND_GOES_ON = "sound.mp4"


@dataclass(frozen=True)
class Drawn:
    """A picture with one face or number plate, and its area."""

    picture: Image.Image
    box: tuple[int, int, int, int]


@pytest.fixture(scope="session")
def face() -> Drawn:
    """Dark eyes and hair, bright nose and cheeks: a synthetic face for the cascades."""
    image = Image.new("RGB", (320, 240), (90, 110, 90))
    draw = ImageDraw.Draw(image)
    x, y = 160, 120
    draw.ellipse((x - 52, y - 80, x + 52, y + 72), fill=(60, 45, 40))
    draw.ellipse((x - 46, y - 62, x + 46, y + 68), fill=(215, 180, 155))
    for side in (-1, 1):
        draw.ellipse((x + side * 20 - 13, y - 22, x + side * 20 + 13, y - 4), fill=(110, 80, 70))
        draw.ellipse((x + side * 20 - 5, y - 18, x + side * 20 + 5, y - 8), fill=(30, 20, 20))
        draw.line((x + side * 20 - 14, y - 27, x + side * 20 + 14, y - 27), fill=(70, 50, 40), width=4)
        draw.ellipse((x + side * 24 - 12, y + 4, x + side * 24 + 12, y + 26), fill=(228, 195, 170))
    draw.polygon([(x - 4, y - 14), (x + 4, y - 14), (x + 10, y + 18), (x - 10, y + 18)], fill=(232, 200, 175))
    draw.line((x - 9, y + 19, x + 9, y + 19), fill=(140, 100, 85), width=3)
    draw.ellipse((x - 20, y + 32, x + 20, y + 42), fill=(150, 70, 70))
    return Drawn(image.filter(ImageFilter.GaussianBlur(2)), (x - 46, y - 62, x + 46, y + 68))


@pytest.fixture(scope="session")
def profile() -> Drawn:
    """A head from its left side, nose to the left: OpenCV's profile cascade finds only this side."""
    image = Image.new("RGB", (240, 240), (200, 205, 210))
    draw = ImageDraw.Draw(image)
    draw.ellipse((70, 40, 195, 190), fill=(78, 68, 58))
    skin = (215, 180, 155)
    draw.ellipse((71, 65, 155, 190), fill=skin)
    draw.polygon([(79, 97), (54, 132), (81, 139)], fill=skin)
    draw.polygon([(81, 150), (79, 195), (121, 192), (151, 150)], fill=skin)
    draw.rectangle((116, 185, 166, 240), fill=(190, 150, 125))
    draw.ellipse((76, 100, 94, 111), fill=(110, 80, 70))
    draw.ellipse((80, 102, 87, 109), fill=(30, 20, 20))
    draw.line((74, 93, 98, 91), fill=(70, 50, 40), width=5)
    draw.line((76, 155, 95, 154), fill=(140, 60, 60), width=4)
    draw.ellipse((140, 105, 158, 139), fill=(190, 140, 120))
    return Drawn(image.filter(ImageFilter.GaussianBlur(1)), (71, 65, 155, 190))


@pytest.fixture(scope="session")
def plate() -> Drawn:
    """The back of a red car with a number plate."""
    image = Image.new("RGB", (480, 360), (70, 70, 75))
    draw = ImageDraw.Draw(image)
    draw.rectangle((90, 100, 370, 254), fill=(120, 30, 30))
    box = (150, 180, 310, 214)
    draw.rectangle(box, fill=(235, 235, 235), outline=(20, 20, 20), width=2)
    draw.text((160, 180), "A123BC 77", fill=(15, 15, 15), font=ImageFont.load_default(29))
    return Drawn(image.filter(ImageFilter.GaussianBlur(1)), box)


def walking(seconds: float, *, colour: str = "sienna") -> Iterator[Image.Image]:
    """An animal that walks through a meadow."""
    meadow = np.random.default_rng(1).integers(90, 130, (24, 32, 3), dtype=np.uint8)
    ground = Image.fromarray(meadow).resize((320, 240), Image.Resampling.BICUBIC)
    for number in range(round(seconds * RATE)):
        frame = ground.copy()
        left = (number * 6) % 260
        ImageDraw.Draw(frame).ellipse((left, 110, left + 70, 160), fill=colour)
        yield frame


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video of four seconds, and one of three whose sound continues for a minute."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / VIDEO, walking(4))
    write_video_with_sound(folder / SOUND_GOES_ON, walking(3), sound_seconds=60)
    return folder


def write_video(path: Path, pictures: Iterator[Image.Image]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"g": str(RATE), "preset": "ultrafast", "tune": "zerolatency"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))


def write_video_with_sound(
    path: Path,
    pictures: Iterator[Image.Image],
    *,
    sound_seconds: float,
    start: float = 0.0,
    options: Mapping[str, str] | None = None,
) -> None:
    """A video whose sound may go on for longer than its pictures; without pictures or sound, it has no such stream.

    `start`: seconds in the stream of the first picture; `options`: FFmpeg's, of the format.
    """
    with av.open(str(path), "w", options=dict(options or {})) as container:
        shown = [av.VideoFrame.from_image(picture) for picture in pictures]
        video = container.add_stream("libx264", rate=RATE) if shown else None
        sound = container.add_stream("aac", rate=SOUND) if sound_seconds else None
        packets: list[av.Packet[Any]] = []
        if video is not None:
            video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
            video.options = {"g": str(RATE), "preset": "ultrafast", "tune": "zerolatency"}
            for number, frame in enumerate(shown, start=round(start * RATE)):
                frame.pts = number
                packets += video.encode(frame)
            packets += video.encode(None)
        if sound is not None:
            sound.layout = "mono"
            for begin in range(0, round(sound_seconds * SOUND), 1024):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts = SOUND, begin + round(start * SOUND)
                packets += sound.encode(silence)
            packets += sound.encode(None)
        container.mux(sorted(packets, key=lambda packet: float((packet.dts or 0) * packet.time_base)))


def wait_until(true: Callable[[], object], what: str, seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait for effects of other processes and of FFmpeg, which signal no event."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not come about in {seconds} s"
        time.sleep(0.02)


class RtspServer:
    """A real RTSP server in its own process: it can be killed, restarted and suspended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.start()

    def url(self, port: int | None = None, *, video: str = VIDEO) -> str:
        return f"rtsp://user:secret@127.0.0.1:{port or self.port}/{video}?play_count=0"

    def start(self) -> None:
        command = [sys.executable, "-c", SERVER, str(self._folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._listens, "the RTSP server")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stall(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@pytest.fixture
def rtsp(videos: Path) -> Iterator[RtspServer]:
    server = RtspServer(videos)
    yield server
    server.kill()


class Relay:
    """Stands between a camera and its server, and spoils bytes on the way to the client while `garbage` is set."""

    def __init__(self, port: int) -> None:
        self._server = port
        self.garbage = threading.Event()
        self.spoiled = 0
        self._source = np.random.default_rng(11)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server), 5)
            except OSError:
                return
            for source, sink, spoil in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._copy, args=(source, sink, spoil), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, spoil: bool) -> None:
        try:
            while data := source.recv(4096):
                sink.sendall(self._spoil(data) if spoil and self.garbage.is_set() else data)
        except OSError:
            pass
        for end in (source, sink):
            end.close()

    def _spoil(self, data: bytes) -> bytes:
        self.spoiled += 1
        broken = bytearray(data)
        for place in self._source.integers(0, len(broken), max(1, len(broken) // 20)):
            broken[place] = self._source.integers(0, 256)
        return bytes(broken)


@pytest.fixture
def relay(rtsp: RtspServer) -> Iterator[Relay]:
    between = Relay(rtsp.port)
    yield between
    between.close()


DOG = {"label": "dog", "probabilities": {"dog": 0.97, "cat": 0.03}, "model": {"name": "pets", "version": 3}}


def line_to(answer: Callable[[httpx.Request], httpx.Response]) -> Classifier:
    """A connection to an endpoint with the test's responses; closed after the test."""
    return closed_later(Classifier("http://endpoint", transport=httpx.MockTransport(answer)))


def closed_later(classifier: Classifier) -> Classifier:
    LINES.append(classifier)
    return classifier


LINES: list[Classifier] = []


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    yield
    while LINES:
        LINES.pop().close()


class Hands:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self._wall = 1_900_000_000.0
        self._monotonic = 0.0

    def wall(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def pass_seconds(self, seconds: float) -> None:
        self._wall += seconds
        self._monotonic += seconds

    def set_wall(self, wall: float) -> None:
        self._wall = wall


@pytest.fixture
def hands() -> Hands:
    return Hands()
