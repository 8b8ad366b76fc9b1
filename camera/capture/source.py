"""A camera as a stream of frames: RTSP, MJPEG over HTTP, or a file, opened by FFmpeg (PyAV) with deadlines."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from threading import Event

import av
from av import logging as av_logging
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from camera.schemes import PROTOCOLS
from registry.masking import Address

OPEN_SECONDS = 10.0
READ_SECONDS = 5.0
WHOLE_SECONDS = 20.0
"""Maximum seconds without an undamaged frame, from opening on. Cameras send a key frame every few seconds."""
_LOOK_SECONDS = 1.0
"""How much of a stream FFmpeg may analyse before its first frame."""
_GROWING = {"mpegts", "flv"}
"""Formats that may announce streams at any time (FFmpeg's AVFMTCTX_NOHEADER).

PyAV skips packets of unknown streams without returning, so a video stream with a new number would block without
deadline. Such a source is therefore opened twice: first to count its streams, then with that maximum, which makes
FFmpeg fail or time out. A new number of the same program's video is followed (`merge_pmt_versions`).
https://ffmpeg.org/ffmpeg-formats.html#Format-Options (max_streams), #mpegts-1
"""
_BAD_PACKETS = 100
"""After this many undecodable packets in a row, reconnect."""


class SourceLost(Exception):
    """The stream could not be opened, broke, or stopped sending frames. The message has the reason without the URL."""


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
    """Returns the URL's scheme, a key of `PROTOCOLS`, or the empty string for a file."""
    scheme, separator, _ = url.partition("://")
    return scheme.lower() if separator and scheme.lower() in PROTOCOLS else ""


def frames(
    url: str,
    stop: Event,
    *,
    open_seconds: float = OPEN_SECONDS,
    read_seconds: float = READ_SECONDS,
    whole_seconds: float = WHOLE_SECONDS,
) -> Generator[Frame | None]:
    """Yields the decoded frames of a source until `stop`, and None for a broken packet. Files play at recorded speed.

    Only decoded frames keep a stream alive, not bytes: neither sound nor packets without a frame do. Raises
    `SourceLost` after `read_seconds` without a frame or `whole_seconds` without an undamaged one, and `SourceEnded`
    at the end of a file.
    """
    live = scheme_of(url) != ""
    with closing(_open_video(url, open_seconds, read_seconds)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # each additional thread would delay by one frame
        pace = _Pace(stop)
        alive = _Alive(read_seconds, whole_seconds)
        bad = 0
        for packet in _packets(container):
            if stop.is_set():
                return
            # At its deadline FFmpeg returns the packet that it has, and waits as long again before it fails.
            if live:
                alive.check()
            if packet.stream.index != stream.index:
                continue
            images = _decoded(packet)
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
                damaged = bool(image.is_corrupt)
                alive.came(damaged=damaged)
                yield Frame(image=image, position=image.time, camera=camera, damaged=damaged)
    if not live:
        raise SourceEnded("the file was played to its end")
    raise SourceLost("the stream ended")


class _Alive:
    """Raises `SourceLost` if there was no frame for too long."""

    def __init__(self, read_seconds: float, whole_seconds: float) -> None:
        self._read_seconds = read_seconds
        self._whole_seconds = whole_seconds
        self._frame: float | None = None
        self._whole = time.monotonic()

    def came(self, *, damaged: bool) -> None:
        self._frame = time.monotonic()
        if not damaged:
            self._whole = self._frame

    def check(self) -> None:
        now = time.monotonic()
        if self._frame is not None and (silence := now - self._frame) >= self._read_seconds:
            raise SourceLost(f"stalled: no frame for {silence:.1f} s")
        if (silence := now - self._whole) >= self._whole_seconds:
            raise SourceLost(f"stalled: no whole frame for {silence:.1f} s")


def _open_video(url: str, open_seconds: float, read_seconds: float) -> InputContainer:
    """Open a source with video, so that no further stream can appear."""
    container = _open(url, open_seconds, read_seconds)
    if scheme_of(url) and container.streams.video and container.format.name in _GROWING:
        streams = len(container.streams)
        container.close()
        container = _open(url, open_seconds, read_seconds, streams=streams)
    if not container.streams.video:
        container.close()
        raise SourceLost("the source has no video")
    return container


def _open(url: str, open_seconds: float, read_seconds: float, *, streams: int = 0) -> InputContainer:
    """Open a source, with at most `streams` streams; 0: no limit."""
    scheme = scheme_of(url)
    options = {"protocol_whitelist": PROTOCOLS.get(scheme, "file"), "analyzeduration": str(int(_LOOK_SECONDS * 1e6))}
    if streams:
        options |= {"max_streams": str(streams), "merge_pmt_versions": "1"}
    if scheme in {"rtsp", "rtsps"}:
        options |= {"rtsp_transport": "tcp", "timeout": _microseconds(read_seconds), "fflags": "nobuffer"}
    elif scheme:
        options |= {"rw_timeout": _microseconds(read_seconds), "fflags": "nobuffer"}
        options |= {"use_wallclock_as_timestamps": "1", "follow": "0", "reconnect": "0"}
    try:
        return av.open(
            Address.parse(url).encoded if scheme else url, options=options, timeout=(open_seconds, read_seconds)
        )
    except (FFmpegError, OSError, ValueError) as error:
        raise SourceLost(f"cannot be opened: {_reason(error)}") from None


def _packets(container: InputContainer) -> Generator[Packet[Stream]]:
    """Packets of all streams, because a wait for video only would not return while only sound arrives.

    The last packets flush the decoders.
    """
    try:
        yield from container.demux()
    except (FFmpegError, OSError) as error:
        raise SourceLost(f"broke: {_reason(error)}") from None


def _decoded(packet: Packet[Stream]) -> list[VideoFrame] | None:
    """The frames of a packet of video, perhaps none; None if it is broken."""
    try:
        return [image for image in packet.decode() if isinstance(image, VideoFrame)]
    except FFmpegError:
        return None


def _camera_clock(packet: Packet[Stream]) -> float | None:
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
    """FFmpeg's reason without the URL, which may contain a password."""
    return getattr(error, "strerror", None) or type(error).__name__


class _Pace:
    """Plays a file at the speed of its timestamps."""

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
    """Suppress FFmpeg's own log lines, which may contain URLs."""
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    av_logging.set_level(av_logging.PANIC)
