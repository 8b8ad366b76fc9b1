"""One file over HTTP, from a publisher that fails in every way: the right file in the end, or none."""

from __future__ import annotations

import socket
import tempfile
import threading
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petpark.downloads.errors import ArchiveMissing, ArchiveRefused, FolderNotWritable, PublisherUnreachable
from petpark.downloads.fetch import Timeouts, fetch
from petpark.errors import InstallFailed
from tests.examples import examples
from tests.loopback_publisher import Answer, Publisher, publisher
from tests.petpark.downloads.conftest import CONTENT, NAME, SHA, get

HALF = len(CONTENT) // 2


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
