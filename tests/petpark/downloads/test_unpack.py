"""Archives whose names, links and sizes are hostile stay inside of their folder, or are refused."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petpark.downloads.errors import ArchiveRefused
from petpark.downloads.unpack import dirhash, unpack
from tests.examples import examples
from tests.loopback_publisher import zipped

LIMIT = 1_000_000


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def entry(name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o755
    return tarred((info, content))


def unpacked(folder: Path, name: str, content: bytes) -> Path:
    archive = folder / name
    archive.write_bytes(content)
    unpack(archive, folder / "inside", limit=LIMIT)
    return folder / "inside"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", zipped({"bin/tool": b"program", "README": b"text"})),
        ("a.tar.gz", tarred((tarfile.TarInfo("bin/tool"), b"program"), (tarfile.TarInfo("README"), b"text"))),
    ],
)
def test_a_good_archive_becomes_its_files(tmp_path: Path, name: str, content: bytes) -> None:
    inside = unpacked(tmp_path, name, content)
    assert (inside / "bin" / "tool").read_bytes() == b"program"
    assert (inside / "README").read_bytes() == b"text"


def test_programs_stay_executable(tmp_path: Path) -> None:
    assert os.access(unpacked(tmp_path, "a.zip", zipped({"tool": b""})) / "tool", os.X_OK)
    assert not os.access(unpacked(tmp_path / "inside", "b.zip", zipped({"text": b""}, mode=0o100644)) / "text", os.X_OK)


@pytest.mark.parametrize("bad", ["../out", "/tmp/out", "a/../../out", "a\\..\\out", "C:\\out", "a\nb", ".."])
@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_a_name_that_leads_out_is_refused_before_anything_is_written(tmp_path: Path, bad: str, kind: str) -> None:
    content = zipped({bad: b"x"}) if kind == "a.zip" else entry(bad, b"x")
    with pytest.raises(ArchiveRefused, match="contains the name"):
        unpacked(tmp_path, kind, content)
    assert list((tmp_path / "inside").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        entry("link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        entry("link", kind=tarfile.SYMTYPE, link="inside"),
        entry("link", kind=tarfile.LNKTYPE, link="../a.tar.gz"),
        entry("device", kind=tarfile.CHRTYPE),
        entry("pipe", kind=tarfile.FIFOTYPE),
    ],
    ids=["link out", "link inside", "hard link", "device", "pipe"],  # an archive holds the time at which it was made
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArchiveRefused, match="not a regular file"):
        unpacked(tmp_path, "a.tar.gz", content)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="not a regular file"):
        unpacked(tmp_path, "a.zip", zipped({"link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("tool", b"good")
        archive.writestr("tool", b"bad")
    with pytest.raises(ArchiveRefused, match="twice"):
        unpacked(tmp_path, "a.zip", packed.getvalue())


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, name: str) -> None:
    much = bytes(LIMIT + 1)
    with pytest.raises(ArchiveRefused, match="more than"):
        unpacked(tmp_path, name, zipped({"zeros": much}) if name == "a.zip" else entry("zeros", much))


@given(data=st.binary(max_size=300), kind=st.sampled_from(["a.zip", "a.tar.gz"]), at=st.integers(0, 200))
@settings(max_examples=examples(80))
def test_a_damaged_archive_is_refused_and_not_a_traceback(data: bytes, kind: str, at: int) -> None:
    good = zipped({"tool": b"program" * 20}) if kind == "a.zip" else entry("tool", b"program" * 20)
    with tempfile.TemporaryDirectory() as folder:
        before = set(Path(folder).iterdir())
        try:
            inside = unpacked(Path(folder), kind, good[:at] + data + good[at + len(data) :])
        except ArchiveRefused:
            return
        assert inside.is_dir()
        assert {path.name for path in Path(folder).iterdir()} - {path.name for path in before} == {kind, "inside"}


def test_a_name_that_says_it_is_utf_8_and_is_not_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"tool": b"program"}))
    data[6:8] = (1 << 11).to_bytes(2, "little")  # flags of the local header: "language encoding"
    data[30] = 0x8C
    with pytest.raises(ArchiveRefused, match="is damaged"):
        unpacked(tmp_path, "a.zip", bytes(data))


def test_the_hash_of_what_was_in_an_archive_is_gos(tmp_path: Path) -> None:
    """Computed by Go's dirhash.Hash1 over the same two files."""
    inside = unpacked(tmp_path, "a.zip", zipped({"b.txt": b"two\n", "a.txt": b"one\n"}))
    assert dirhash(inside) == "h1:DbWjT9wc0PpMxpMhB9wMbFDvGfq8B27pfhLrqzI1wGM="


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("cat", "cat/a.jpg"), "a file and as a folder"),
        (("cat/a.jpg", "cat"), "a file and as a folder"),
        (("cat/b/a.jpg", "cat"), "a file and as a folder"),
        (("ż" * 128,), "a name of 128 characters"),
        (("/".join(["a" * 200] * 6),), "a name of 1205 characters"),
    ],
)
def test_names_that_no_folder_can_hold_are_refused(
    tmp_path: Path, name: str, names: tuple[str, ...], said: str
) -> None:
    content = (
        zipped(dict.fromkeys(names, b"x")) if name == "a.zip" else tarred(*((tarfile.TarInfo(n), b"x") for n in names))
    )
    with pytest.raises(ArchiveRefused, match=said):
        unpacked(tmp_path, name, content)
