"""A camera as a stream of frames: RTSP, MJPEG over HTTP, or a file, opened by FFmpeg (PyAV) with deadlines."""

import logging
import struct
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from urllib.parse import urlsplit, urlunsplit

import av
from av import logging as av_logging
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

OPEN_SECONDS = 10.0
READ_SECONDS = 5.0
_LOOK_SECONDS = 1.0
"""How much of a stream FFmpeg may look at before its first frame."""
_BAD_PACKETS = 100
"""Packets in a row that could not be decoded; then the connection is made anew."""

_NETWORK = {"rtsp", "rtsps", "http", "https"}
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,tcp",
    "rtsps": "rtsps,rtsp,rtp,tcp,tls",
    "http": "http,tcp",
    "https": "https,http,tcp,tls",
    "": "file",
}
"""What FFmpeg may open on a source's behalf: no stream or playlist leads it from the network to files, or back."""


class SourceLost(Exception):
    """The stream could not be opened, broke, or stalled; the message says which, without the address's password."""


class SourceEnded(Exception):
    """A file was played to its end."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One decoded frame. `position`: seconds in the stream; `camera`: seconds since 1970 by the camera's clock."""

    image: VideoFrame
    position: float | None
    camera: float | None
    damaged: bool


def scheme_of(url: str) -> str:
    """The kind of source: `rtsp`, `rtsps`, `http`, `https`, or the empty string for a file."""
    scheme = urlsplit(url).scheme.lower()
    return scheme if scheme in _NETWORK else ""


def without_password(url: str) -> str:
    """The address as it may be shown and logged."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc="…@" + parts.netloc.rpartition("@")[2]))


def frames(
    url: str, stop: Event, *, open_seconds: float = OPEN_SECONDS, read_seconds: float = READ_SECONDS
) -> Generator[Frame | None]:
    """Decode a source until `stop`; a file at the pace at which it was recorded. None stands for a broken packet.

    Raises `SourceLost`, or `SourceEnded` for a file.
    """
    live = scheme_of(url) != ""
    with closing(_open(url, open_seconds, read_seconds)) as container:
        if not container.streams.video:
            raise SourceLost("the source has no video")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # threads of frames would hold back as many frames
        pace = _Pace(stop)
        bad = 0
        heard = time.monotonic()
        for packet in _packets(container, stream):
            if stop.is_set():
                return
            silence, heard = time.monotonic() - heard, time.monotonic()
            # FFmpeg answers a deadline with the packet that it holds, and waits as long again before it fails.
            if live and silence >= read_seconds:
                raise SourceLost(f"stalled: no packet for {silence:.1f} s")
            try:
                images = packet.decode()
            except FFmpegError:
                images = None
            bad = bad + 1 if images is None else 0
            if bad > _BAD_PACKETS:
                raise SourceLost(f"{bad} packets in a row could not be decoded")
            if images is None:
                yield None
                continue
            camera = _camera_clock(packet)
            for image in images:
                if not live:
                    pace.wait(image.time)
                yield Frame(image=image, position=image.time, camera=camera, damaged=bool(image.is_corrupt))
    if not live:
        raise SourceEnded(without_password(url))
    raise SourceLost("the stream ended")


def _open(url: str, open_seconds: float, read_seconds: float) -> InputContainer:
    scheme = scheme_of(url)
    options = {"protocol_whitelist": _PROTOCOLS[scheme], "analyzeduration": str(int(_LOOK_SECONDS * 1e6))}
    if scheme in {"rtsp", "rtsps"}:
        options |= {"rtsp_transport": "tcp", "timeout": _microseconds(read_seconds), "fflags": "nobuffer"}
    elif scheme:
        options |= {"rw_timeout": _microseconds(read_seconds), "fflags": "nobuffer"}
        options |= {"use_wallclock_as_timestamps": "1", "follow": "0", "reconnect": "0"}
    try:
        return av.open(url, options=options, timeout=(open_seconds, read_seconds))
    except (FFmpegError, OSError, ValueError) as error:
        raise SourceLost(f"cannot be opened: {_reason(error)}") from None


def _packets(container: InputContainer, stream: VideoStream) -> "Generator[Packet[VideoStream]]":
    """What the stream brings; the packet that asks a decoder to give up its last frames comes at the end."""
    try:
        yield from container.demux(stream)
    except (FFmpegError, OSError) as error:
        raise SourceLost(f"broke: {_reason(error)}") from None


def _camera_clock(packet: "Packet[VideoStream]") -> float | None:
    """The camera's wall clock for this packet, which FFmpeg computes from RTCP sender reports (RFC 3550, 6.4.1).

    AVProducerReferenceTime: microseconds since 1970 as int64, then flags.
    """
    if not packet.has_sidedata("prft"):
        return None
    data = bytes(packet.get_sidedata("prft"))
    return struct.unpack_from("=q", data)[0] / 1e6 if len(data) >= 8 else None


def _microseconds(seconds: float) -> str:
    return str(int(seconds * 1e6))


def _reason(error: Exception) -> str:
    """FFmpeg's reason without the address, which may carry a password."""
    return getattr(error, "strerror", None) or type(error).__name__


class _Pace:
    """Holds a file back to the pace of its timestamps."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._start: tuple[float, float] | None = None

    def wait(self, position: float | None) -> None:
        if position is None:
            return
        if self._start is None:
            self._start = (position, time.monotonic())
        ahead = (position - self._start[0]) - (time.monotonic() - self._start[1])
        if ahead > 0:
            self._stop.wait(ahead)


def quiet_ffmpeg() -> None:
    """Keep FFmpeg's own lines, which may carry addresses, out of standard error."""
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    av_logging.set_level(av_logging.PANIC)
