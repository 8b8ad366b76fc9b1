"""A real RTSP server, MJPEG over HTTP, a file: played, killed, stalled, spoiled."""

import base64
import contextlib
import io
import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from camera.capture.source import SourceEnded, SourceLost, frames, quiet_ffmpeg
from registry.masking import shown_address
from tests.camera.conftest import SOUND_GOES_ON, VIDEO, walking, write_video_with_sound
from tests.ports import free_port

TRIES = 10

quiet_ffmpeg()


def take(url: str, count: int, **options):
    """The first frames of a source."""
    found = []
    with closing(frames(url, threading.Event(), **options)) as playing:
        for frame in playing:
            if frame is not None:
                found.append(frame)
            if len(found) == count:
                break
    return found


@contextlib.contextmanager
def playing_frames(url: str, **options):
    """A source that has given its first frame: on a busy machine a server may miss its deadline before that."""
    for attempt in itertools.count(1):
        with closing(frames(url, threading.Event(), **options)) as playing:
            try:
                first = next(playing)
            except SourceLost:
                if attempt == TRIES:
                    raise
                continue
            yield itertools.chain([first], playing)
            return


def test_an_rtsp_camera_gives_frames_with_its_own_clock(rtsp):
    found = take(rtsp.url(), 10)
    assert (found[0].image.width, found[0].image.height) == (320, 240)
    assert not any(frame.damaged for frame in found)
    # The server's sender report carries this machine's clock: RTCP (RFC 3550) is read, not made up.
    assert all(frame.camera is not None and abs(frame.camera - time.time()) < 60 for frame in found[1:])
    positions = [frame.position or 0 for frame in found]
    assert positions == sorted(positions)


def test_a_server_that_stalls_is_lost_within_the_deadline(rtsp):
    # The server stays as it is: without a deadline, the next frame would never come.
    with playing_frames(rtsp.url(), read_seconds=1.0) as playing:
        rtsp.stall()
        with pytest.raises(SourceLost, match=r"stalled|broke"):
            for _ in playing:
                pass


def test_a_server_that_dies_and_one_that_is_not_there_are_lost_and_no_password_is_said(rtsp):
    with playing_frames(rtsp.url(), read_seconds=2.0) as playing:
        rtsp.kill()
        with pytest.raises(SourceLost) as lost:
            for _ in playing:
                pass
    with pytest.raises(SourceLost) as absent:
        take(rtsp.url(), 1, open_seconds=2.0)
    assert "secret" not in str(lost.value) + str(absent.value)
    assert shown_address(rtsp.url()).startswith("rtsp://…@127.0.0.1:")


def test_garbage_in_the_stream_breaks_packets_or_the_connection_and_nothing_else(rtsp, relay):
    """Ended by FFmpeg or played on, but never by a crash, and what is damaged is said to be."""
    told, whole = 0, 0
    for _ in range(2):
        relay.garbage.clear()
        try:
            with playing_frames(rtsp.url(relay.port), read_seconds=1.0) as playing:
                for number, frame in enumerate(playing):
                    told += frame is None or frame.damaged
                    whole += frame is not None and not frame.damaged
                    if number == 2:
                        relay.garbage.set()
                    if number == 60:
                        break
        except SourceLost:
            told += 1
    assert relay.spoiled
    assert whole
    assert told


def test_a_file_is_played_at_its_own_pace_and_ends(videos):
    began = time.monotonic()
    with pytest.raises(SourceEnded):
        take(str(videos / VIDEO), 1000)
    assert time.monotonic() - began > 3.5  # a busy machine can only make it longer


class _Mjpeg(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for picture in walking(20):
                file = io.BytesIO()
                picture.save(file, "JPEG")
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {file.tell()}\r\n\r\n"
                self.wfile.write(head.encode() + file.getvalue() + b"\r\n")
                time.sleep(0.02)
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:
        return


class _Redirect(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.apple.mpegurl")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


def serving(handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/video"
        server.shutdown()


@pytest.fixture
def http_stream() -> Iterator[Callable[..., str]]:
    """A server that sends bytes, then others forever, some fifty times a second.

    Each connection begins with the first bytes, or `goes_on` where those before it have come to.
    """
    servers = contextlib.ExitStack()

    def serve(kind: str, begin: bytes, again: bytes, *, goes_on: bool = False) -> str:
        def pieces() -> Iterator[bytes]:
            first = (begin[start : start + 20 * 188] for start in range(0, len(begin), 20 * 188))
            return itertools.chain(first, itertools.repeat(again))

        live = pieces()

        class Drip(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                with contextlib.suppress(OSError):
                    for piece in live if goes_on else pieces():
                        self.wfile.write(piece)
                        time.sleep(0.02)

            def log_message(self, format: str, *args: object) -> None:
                return

        return servers.enter_context(contextlib.contextmanager(serving)(Drip))

    with servers:
        yield serve


mjpeg = pytest.fixture(lambda: (yield from serving(_Mjpeg)))
playlist = pytest.fixture(lambda: (yield from serving(_Redirect)))


def test_mjpeg_over_http_gives_frames(mjpeg):
    found = take(mjpeg, 5)
    assert (found[0].image.width, found[0].image.height) == (320, 240)


def lost(url: str, *, gives: bool = True, **options) -> tuple[int, str]:
    """How many frames a source gave until it was lost, and why; one that `gives` some may be slow to begin."""
    for attempt in itertools.count(1):
        count = 0
        try:
            with closing(frames(url, threading.Event(), **options)) as playing:
                for frame in playing:
                    count += frame is not None
        except SourceLost as error:
            if count or not gives or attempt == TRIES:
                return count, str(error)
        else:
            break
    raise AssertionError("the source ended, and was not lost")


def test_a_camera_whose_video_ends_while_its_sound_goes_on_is_lost_after_the_usual_time(rtsp):
    count, why = lost(rtsp.url(video=SOUND_GOES_ON), read_seconds=1.0)
    assert count
    assert "no frame for" in why


def test_a_transport_stream_whose_sound_goes_on_without_video_is_lost(tmp_path, http_stream):
    path = tmp_path / "camera.ts"
    write_video_with_sound(path, walking(6), sound_seconds=9)
    stream = path.read_bytes()
    # What comes after the pictures is sent repeatedly: sound without end.
    count, why = lost(http_stream("video/mp2t", stream, stream[-188 * 60 :]), read_seconds=1.0, whole_seconds=8.0)
    assert count
    assert "no frame for" in why


def transport_stream(path: Path, *, start: float, sound: bool = False, **options: str) -> bytes:
    """Three seconds of MPEG-TS, of pictures and perhaps of sound."""
    write_video_with_sound(path, walking(3), sound_seconds=3.0 if sound else 0.0, start=start, options=options)
    return path.read_bytes()


def test_a_transport_stream_whose_video_gets_another_number_is_followed(tmp_path, http_stream):
    """Its packets would be skipped without end: PyAV returns to nobody for a stream that it did not know."""
    first = transport_stream(tmp_path / "1.ts", start=0, mpegts_start_pid="256")
    again = transport_stream(tmp_path / "2.ts", start=3, mpegts_start_pid="512", tables_version="3")
    found = take(http_stream("video/mp2t", first, again), 90, read_seconds=2.0)
    assert (found[-1].image.width, found[-1].image.height) == (320, 240)


def test_a_transport_stream_that_changes_to_another_program_is_lost_after_the_usual_time(tmp_path, http_stream):
    first = transport_stream(tmp_path / "1.ts", start=0, mpegts_start_pid="256")
    other: dict[str, Any] = {"mpegts_service_id": "7", "mpegts_pmt_start_pid": "5000", "tables_version": "3"}
    again = transport_stream(tmp_path / "2.ts", start=3, mpegts_start_pid="512", **other)
    count, why = lost(http_stream("video/mp2t", first, again), read_seconds=1.0, whole_seconds=8.0)
    assert 0 < count <= 45
    assert "no frame for" in why or "broke" in why


def test_a_camera_that_announces_its_video_after_its_sound_is_lost_and_plays_at_a_later_attempt(tmp_path, http_stream):
    write_video_with_sound(tmp_path / "sound.ts", iter(()), sound_seconds=3)
    later = transport_stream(tmp_path / "both.ts", start=3, sound=True, mpegts_start_pid="512", tables_version="3")
    url = http_stream("video/mp2t", (tmp_path / "sound.ts").read_bytes(), later, goes_on=True)
    assert lost(url, gives=False, read_seconds=2.0) == (0, "the source has no video")
    for _ in range(10):
        with contextlib.suppress(SourceLost):
            assert len(take(url, 20, read_seconds=2.0)) == 20
            return
    pytest.fail("it never played")


PICTURE = io.BytesIO()
next(walking(1)).save(PICTURE, "JPEG")
PART = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (PICTURE.tell(), PICTURE.getvalue())


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"", b"\r\n"),
        (PART * 5 + PART[:200], b"\0"),
        (PART * 5, b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\n\r\n\xff\xd8\xff\xd9\r\n"),
    ],
    ids=["no part at all", "a part that drips", "parts without a picture"],
)
def test_bytes_that_are_no_frames_do_not_keep_a_camera_alive(http_stream, begin, again):
    url = http_stream("multipart/x-mixed-replace; boundary=frame", begin, again)
    count, _ = lost(url, gives=False, open_seconds=1.5, read_seconds=1.0, whole_seconds=3.0)
    assert count <= 5 or again.startswith(b"--frame")


def test_a_stream_cannot_lead_to_a_file_of_this_machine(playlist):
    with pytest.raises(SourceLost):
        take(playlist, 1, open_seconds=3.0, read_seconds=2.0)


def test_an_address_where_nobody_listens_and_a_file_that_is_no_video_are_said(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for url in (f"http://127.0.0.1:{free_port()}/", str(tmp_path / "text.mp4"), str(tmp_path / "absent.mp4")):
        with pytest.raises(SourceLost, match="cannot be opened"):
            take(url, 1, open_seconds=2.0)


@pytest.mark.parametrize("password", ["pa#ss", "pa/ss", "pa?s[s]", "p%40ss", "zażółć:&="])
def test_a_camera_is_asked_with_the_password_as_it_was_typed(password):
    shown: list[str] = []

    class Guarded(_Mjpeg):
        def do_GET(self) -> None:
            shown.append(self.headers.get("authorization", ""))
            if shown[-1]:
                return super().do_GET()
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return None

    with contextlib.contextmanager(serving)(Guarded) as url:
        assert take(url.replace("://", f"://mia:{password}@"), 1)
    login = base64.b64decode(shown[-1].removeprefix("Basic ")).decode()
    assert login == f"mia:{password.replace('%40', '@')}"
