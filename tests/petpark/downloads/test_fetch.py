"""One file over HTTP, from a publisher that fails in every way: the right file in the end, or none."""

from __future__ import annotations

import hashlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petpark.downloads.errors import ArchiveMissing, ArchiveRefused, FolderNotWritable, PublisherUnreachable
from petpark.downloads.fetch import Timeouts, fetch, open_client, shown_url
from petpark.errors import InstallFailed
from tests.examples import examples
from tests.loopback_publisher import Answer, Publisher, certificate, proxy, publisher

CONTENT = bytes(range(256)) * 4096  # 1 MiB: several chunks
HALF = len(CONTENT) // 2
SHA = hashlib.sha256(CONTENT).hexdigest()
NAME = "archive.zip"


@pytest.fixture
def server() -> Iterator[Publisher]:
    with publisher() as made:
        made.files[f"/{NAME}"] = CONTENT
        yield made


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def no_pause(_seconds: float) -> None:
    pass


def get(
    server: Publisher | str,
    folder: Path,
    *,
    client: httpx.Client | None = None,
    read: float = 5.0,
    attempts: int = 60,
    pause: Callable[[float], None] = no_pause,
) -> str:
    """Fetch without pauses."""
    base = server if isinstance(server, str) else server.url
    return fetch(
        f"{base}/{NAME}",
        folder / NAME,
        accepted=frozenset({SHA}),
        limit=2 * len(CONTENT),
        report=lambda _done, _total: None,
        timeouts=Timeouts(pause=pause, read=read, attempts=attempts),
        client=client,
    )


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_arrives_whole_and_nothing_else_is_left(server: Publisher, tmp_path: Path) -> None:
    assert get(server, tmp_path) == SHA
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert left(tmp_path) == [NAME]


def test_progress_tells_bytes_of_the_whole_file(server: Publisher, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    server.answers = [Answer(cut=HALF)]
    fetch(
        f"{server.url}/{NAME}",
        tmp_path / NAME,
        accepted=frozenset({SHA}),
        limit=len(CONTENT),
        report=lambda done, total: told.append((done, total)),
        timeouts=Timeouts(pause=lambda _seconds: None),
    )
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)


def test_a_broken_download_goes_on_where_it_broke(server: Publisher, tmp_path: Path) -> None:
    server.answers = [Answer(cut=HALF)]
    assert get(server, tmp_path) == SHA
    assert server.asked == [(f"/{NAME}", ""), (f"/{NAME}", f"bytes={HALF}-")]


def test_a_later_run_goes_on_where_an_earlier_one_broke(server: Publisher, tmp_path: Path) -> None:
    server.answers = [Answer(cut=HALF)]
    with pytest.raises(PublisherUnreachable):
        get(server, tmp_path, attempts=1)
    assert not (tmp_path / NAME).exists()
    assert get(server, tmp_path) == SHA
    assert server.asked[1] == (f"/{NAME}", f"bytes={HALF}-")


def test_a_server_without_ranges_sends_it_all_again(server: Publisher, tmp_path: Path) -> None:
    server.ranges = False
    server.answers = [Answer(cut=HALF)]
    assert get(server, tmp_path) == SHA


def test_without_a_validator_no_part_is_trusted(server: Publisher, tmp_path: Path) -> None:
    server.etags = False
    server.answers = [Answer(cut=HALF)]
    assert get(server, tmp_path) == SHA
    assert [asked for _, asked in server.asked] == ["", ""]


def test_a_file_that_changed_between_two_attempts_is_fetched_anew(server: Publisher, tmp_path: Path) -> None:
    server.answers = [Answer(body=b"old" * HALF, cut=HALF)]
    assert get(server, tmp_path) == SHA


def test_another_part_than_was_asked_for_is_not_appended(server: Publisher, tmp_path: Path) -> None:
    wrong = {"content-range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}
    server.answers = [Answer(cut=HALF), Answer(headers=wrong)]
    assert get(server, tmp_path) == SHA
    assert [asked for _, asked in server.asked] == ["", f"bytes={HALF}-", ""]


def test_a_part_that_was_complete_is_not_fetched_again(server: Publisher, tmp_path: Path) -> None:
    server.answers = [Answer(cut=HALF)]
    with pytest.raises(PublisherUnreachable):
        get(server, tmp_path, attempts=1)
    with (tmp_path / f"{NAME}.part").open("ab") as part:
        part.write(CONTENT[HALF:])
    assert get(server, tmp_path) == SHA


def test_a_part_that_was_damaged_on_disk_is_thrown_away(server: Publisher, tmp_path: Path) -> None:
    server.answers = [Answer(cut=HALF)]
    with pytest.raises(PublisherUnreachable):
        get(server, tmp_path, attempts=1)
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * HALF)
    assert get(server, tmp_path) == SHA
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing(server: Publisher, tmp_path: Path) -> None:
    server.files[f"/{NAME}"] = CONTENT[:-1] + b"?"
    with pytest.raises(ArchiveRefused, match="not a pinned one"):
        get(server, tmp_path)
    assert left(tmp_path) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("stated", [str(len(CONTENT) * 3), ""])
def test_more_bytes_than_any_archive_has_are_not_taken(server: Publisher, tmp_path: Path, stated: str) -> None:
    server.answers = [Answer(body=CONTENT * 3, headers={"content-length": stated})]
    with pytest.raises(ArchiveRefused, match="larger"):
        get(server, tmp_path)
    assert left(tmp_path) == []


def test_a_file_that_lies_there_is_used_if_it_is_the_right_one(server: Publisher, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    assert get(server, tmp_path) == SHA
    assert server.asked == []
    (tmp_path / NAME).write_bytes(b"by hand, but another")
    assert get(server, tmp_path) == SHA
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_the_server_does_not_have_is_not_asked_for_twice(server: Publisher, tmp_path: Path, status: int) -> None:
    server.answers = [Answer(status=status)]
    with pytest.raises(ArchiveMissing, match=str(status)):
        get(server, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(server: Publisher, tmp_path: Path, status: int) -> None:
    server.answers = [Answer(status=status), Answer(status=status)]
    assert get(server, tmp_path) == SHA


def test_the_time_that_a_server_names_is_waited_for(server: Publisher, tmp_path: Path) -> None:
    pauses: list[float] = []
    server.answers = [Answer(status=503, headers={"retry-after": "17"})]
    get(server, tmp_path, pause=pauses.append)
    assert len(pauses) == 1
    assert pauses[0] >= 17


def test_attempts_without_a_new_byte_are_bounded(server: Publisher, tmp_path: Path) -> None:
    server.answers = [Answer(status=500)] * 100
    with pytest.raises(PublisherUnreachable, match=r"127\.0\.0\.1 cannot be reached .*500"):
        get(server, tmp_path)
    assert len(server.asked) == Timeouts().idle


def test_attempts_with_a_byte_each_are_bounded_too(server: Publisher, tmp_path: Path) -> None:
    server.answers = [Answer(cut=1)] * 100
    with pytest.raises(PublisherUnreachable):
        get(server, tmp_path, attempts=20)
    assert len(server.asked) == 20


def test_a_server_that_goes_silent_is_left(server: Publisher, tmp_path: Path) -> None:
    release = threading.Event()
    server.answers = [Answer(cut=HALF, hold=release)]
    assert get(server, tmp_path, read=0.2) == SHA
    assert server.asked[1] == (f"/{NAME}", f"bytes={HALF}-")
    release.set()


def test_nobody_there_is_told_soon(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        pauses: list[float] = []
        with pytest.raises(PublisherUnreachable, match="cannot be reached"):
            get(f"http://127.0.0.1:{taken.getsockname()[1]}", tmp_path, pause=pauses.append)
    assert len(pauses) == Timeouts().unconnected - 1


def test_a_redirect_is_followed_but_not_out_of_tls(server: Publisher, tmp_path: Path) -> None:
    server.files["/moved"] = b""
    server.answers = [Answer(status=302, headers={"location": f"/{NAME}"})]
    assert get(server, tmp_path) == SHA


def test_the_proxy_of_the_environment_is_used(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(server.url) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        assert get("http://publisher.test", tmp_path) == SHA
        assert between.asked == [f"GET http://publisher.test/{NAME}"]


def test_what_no_proxy_names_goes_around_it_and_so_does_loopback(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.url.rpartition(":")[2]
    resolve = socket.getaddrinfo

    def everything_is_here(_host: Any, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1", *rest, **more)

    with proxy(server.url) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        assert get(server, tmp_path) == SHA
        (tmp_path / NAME).unlink()
        monkeypatch.setenv("NO_PROXY", "publisher.test")
        monkeypatch.setattr(socket, "getaddrinfo", everything_is_here)
        assert get(f"http://publisher.test:{port}", tmp_path) == SHA
        assert between.asked == []


def test_tls_through_a_proxy_trusts_the_authority_that_is_named_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = certificate(tmp_path, "publisher.test")
    folder = tmp_path / "there"
    folder.mkdir()
    with publisher(context) as server, proxy(server.url) as between:
        server.files[f"/{NAME}"] = CONTENT
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        with pytest.raises(PublisherUnreachable) as refused:
            get("https://publisher.test", folder)
        assert "SSL_CERT_FILE" in refused.value.next_step
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert get("https://publisher.test", folder) == SHA
        assert set(between.asked) == {"CONNECT publisher.test:443"}


def test_tls_is_not_left_by_a_redirect(server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, authority = certificate(tmp_path, "publisher.test")
    with publisher(context) as secure, proxy(secure.url) as between:
        secure.answers = [Answer(status=302, headers={"location": f"{server.url}/{NAME}"})]
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        with pytest.raises(ArchiveMissing, match="without TLS"):
            get("https://publisher.test", tmp_path)


def test_a_proxy_that_cannot_be_used_is_named(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "ftp://proxy.test")
    with pytest.raises(PublisherUnreachable, match="proxy") as refused:
        get(server, tmp_path)
    assert "HTTP_PROXY" in refused.value.next_step


def test_certificates_that_cannot_be_read_are_named(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for certificates in (tmp_path / "nowhere", Path(__file__)):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates))
        with pytest.raises(PublisherUnreachable, match="SSL_CERT_FILE"):
            get(server, tmp_path)


def test_a_password_in_an_address_is_not_shown() -> None:
    assert shown_url("https://me:secret@mirror.test/a") == "https://mirror.test/a"


def test_a_disk_that_is_full_leaves_nothing(server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("petpark.downloads.fetch.os.fsync", full)
    with pytest.raises(InstallFailed, match="No space left"):
        get(server, tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", [NAME, f"{NAME}.part", f"{NAME}.part.json"])
def test_a_folder_where_the_file_has_to_be_is_told_and_not_taken_for_a_full_disk(
    server: Publisher, tmp_path: Path, name: str
) -> None:
    (tmp_path / name / "within").mkdir(parents=True)
    with pytest.raises(FolderNotWritable, match="could not be written") as refused:
        get(server, tmp_path)
    assert str(tmp_path) in refused.value.next_step


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (503, {"retry-after": "\N{SUPERSCRIPT TWO}"}),
        (206, {"content-range": f"bytes 0-1/{'9' * 5000}"}),
        (416, {"content-range": "bytes */0"}),
    ],
    ids=["a time that is no number", "a size that is no number", "nothing, and that is all"],
)
def test_what_a_server_cannot_mean_is_asked_again(
    server: Publisher, tmp_path: Path, status: int, headers: dict[str, str]
) -> None:
    server.answers = [Answer(status=status, headers=headers)]
    assert get(server, tmp_path) == SHA


answers = st.builds(
    Answer,
    status=st.sampled_from([0, 0, 0, 200, 206, 404, 416, 500]),
    body=st.one_of(st.none(), st.none(), st.binary(max_size=64), st.just(CONTENT), st.just(CONTENT[HALF:])),
    cut=st.one_of(st.none(), st.integers(0, len(CONTENT))),
    headers=st.dictionaries(
        st.sampled_from(["etag", "content-range", "content-length"]),
        st.sampled_from(['"a"', 'W/"a"', f"bytes {HALF}-{len(CONTENT) - 1}/{len(CONTENT)}", "bytes */5", "7"]),
        max_size=2,
    ),
)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """One for all examples: opening one reads the system's certificates."""
    with open_client(Timeouts(read=0.5)) as opened:
        yield opened


@given(script=st.lists(answers, max_size=6), wrong=st.booleans(), ranges=st.booleans())
@settings(max_examples=examples(40))
def test_whatever_the_server_sends_there_is_the_right_file_or_none(
    client: httpx.Client, script: list[Answer], wrong: bool, ranges: bool
) -> None:
    with publisher() as server, tempfile.TemporaryDirectory() as folder:
        server.files[f"/{NAME}"] = CONTENT[1:] if wrong else CONTENT
        server.ranges = ranges
        server.answers = list(script)
        place = Path(folder)
        for _run in range(2):
            try:
                digest = get(server, place, client=client)
            except InstallFailed:
                assert not (place / NAME).exists()
            else:
                assert digest == SHA
                assert (place / NAME).read_bytes() == CONTENT
