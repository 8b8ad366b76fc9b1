"""The same photos come from a folder, a bucket or an archive; what is in the way is passed over by name or refused."""

import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from registry.store.memory_store import MemoryStore
from tests.training.photos import write_photos
from training.dataset.ingest import ingest_from
from training.dataset.sources import (
    ArchiveSource,
    Candidate,
    FolderSource,
    PrefixSource,
    SkippedFile,
    Source,
    StoredArchiveSource,
    Unreadable,
)
from training.dataset.sources import source as limits
from training.errors import DatasetRefused


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_photos(tmp_path_factory.mktemp("source") / "photos", per_class=40)
    (folder / "cat" / "été\n🐈").mkdir()
    (folder / "cat" / "0000.jpg").rename(folder / "cat" / "été\n🐈" / "0.jpg")
    (folder / "dog" / "notes.txt").write_text("three dogs today")
    (folder / "dog" / ".hidden.jpg").write_text("not ours")
    (folder / "stray.jpg").write_text("in no class")
    return folder


def bucket(folder: Path, prefix: str) -> PrefixSource:
    store = MemoryStore()
    for path in folder.rglob("*"):
        if path.is_file():
            store.create(f"{prefix}{path.relative_to(folder)}", path.read_bytes())
    store.create(f"{prefix}cat/", b"")  # as consoles make folders
    store.create(f"{prefix.rstrip('/')}-other/fox/1.jpg", b"beside the prefix")
    return PrefixSource(store=store, prefix=prefix)


def archive(folder: Path, path: Path) -> ArchiveSource:
    how: Literal["w:gz", "w:xz", "w:"] = "w:gz" if path.suffix == ".gz" else "w:xz" if path.suffix == ".xz" else "w:"
    with tarfile.open(path, how) as tar:
        tar.add(folder, arcname=".")
    return ArchiveSource(path)


def stored(source: ArchiveSource) -> StoredArchiveSource:
    store = MemoryStore()
    store.create("photos.tar", source.path.read_bytes())
    return StoredArchiveSource(store=store, key="photos.tar", name="s3://park/photos.tar")


MAKERS: dict[str, Callable[[Path, Path], Source]] = {
    "folder": lambda folder, _: FolderSource(folder),
    "prefix": lambda folder, _: bucket(folder, "2026/march/"),
    "prefix without slash": lambda folder, _: PrefixSource(store=bucket(folder, "2026/").store, prefix="2026"),
    "tar": lambda folder, tmp: archive(folder, tmp / "photos.tar"),
    "tar.gz": lambda folder, tmp: archive(folder, tmp / "photos.tar.gz"),
    "tar.xz": lambda folder, tmp: archive(folder, tmp / "photos.tar.xz"),
    "tar in a bucket": lambda folder, tmp: stored(archive(folder, tmp / "photos.tar")),
    "tar.gz in a bucket": lambda folder, tmp: stored(archive(folder, tmp / "photos.tar.gz")),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_photos_from_anywhere_are_the_same_dataset(folder: Path, tmp_path: Path, kind: str):
    expected = ingest_from(FolderSource(folder), MemoryStore(), seed=1)
    found = ingest_from(MAKERS[kind](folder, tmp_path), MemoryStore(), seed=1)
    assert found.sha256 == expected.sha256
    assert found.skipped == expected.skipped
    assert "cat/été\n🐈/0.jpg" in {photo.key for photo in found.manifest.photos}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_source_that_knows_how_many_there_are_says_so_beforehand(folder: Path, tmp_path: Path, kind: str):
    source = MAKERS[kind](folder, tmp_path)
    assert source.count() in (None, len(list(source)))
    assert (source.count() is None) == kind.startswith("tar")


def test_a_whole_bucket_is_a_source_too(folder: Path):
    assert len(list(PrefixSource(store=bucket(folder, "").store, prefix=""))) == 83


def test_an_archive_is_neither_remembered_nor_unpacked(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = archive(folder, tmp_path / "photos.tar.gz")
    before = sorted(tmp_path.iterdir())
    archives: list[tarfile.TarFile] = []
    opened = tarfile.open

    def watched(*args, **kwargs) -> tarfile.TarFile:
        archives.append(opened(*args, **kwargs))
        return archives[-1]

    monkeypatch.setattr(tarfile, "open", watched)
    assert len(list(source)) == 82
    assert len(vars(archives[0])["members"]) <= 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_an_archive_that_was_cut_off_is_refused_and_makes_no_dataset(
    folder: Path, tmp_path: Path, suffix: str, share: float
):
    path = archive(folder, tmp_path / f"photos{suffix}").path
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    store = MemoryStore()
    with pytest.raises(DatasetRefused, match=r"cut off after|not a readable tar archive"):
        ingest_from(ArchiveSource(path), store, seed=1)
    assert not list(store.keys("datasets/"))


def test_an_archive_in_a_bucket_is_refused_by_its_address(folder: Path, tmp_path: Path):
    path = archive(folder, tmp_path / "photos.tar.gz").path
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DatasetRefused, match=r"s3://park/photos\.tar is broken or cut off after"):
        list(stored(ArchiveSource(path)))
    with pytest.raises(DatasetRefused, match=r"s3://park/no\.tar cannot be read: no such object"):
        list(StoredArchiveSource(store=MemoryStore(), key="no.tar", name="s3://park/no.tar"))


def test_an_archive_in_a_bucket_is_taken_no_faster_than_its_photos_are(folder: Path, tmp_path: Path):
    given: list[int] = []

    class Watched(MemoryStore):
        def chunks(self, key: str) -> Iterator[bytes]:
            for chunk in super().chunks(key):
                given.append(len(chunk))
                yield chunk

    store = Watched()
    store.create("photos.tar", archive(folder, tmp_path / "photos.tar").path.read_bytes())
    photos = iter(StoredArchiveSource(store=store, key="photos.tar", name="s3://park/photos.tar"))
    next(photos)
    assert sum(given) <= 128 * 1024 < len(store.get("photos.tar"))


def test_an_archive_cut_exactly_between_two_files_is_refused_too(folder: Path, tmp_path: Path):
    path = archive(folder, tmp_path / "photos.tar").path
    with tarfile.open(path) as tar:
        tenth = tar.getmembers()[10]
    path.write_bytes(path.read_bytes()[: tenth.offset])
    with pytest.raises(DatasetRefused, match="no end mark"):
        list(ArchiveSource(path))


@pytest.mark.parametrize(("name", "content"), [("photo.tar", b"\xff\xd8\xff jpeg"), ("empty.tar", b"")])
def test_what_is_no_archive_is_refused(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetRefused, match="not a readable tar archive"):
        list(ArchiveSource(tmp_path / name))


def test_an_archive_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(DatasetRefused, match="cannot be read: No such file"):
        list(ArchiveSource(tmp_path / "nowhere.tar"))


def test_links_in_an_archive_are_passed_over_and_nothing_is_read_outside_of_it(tmp_path: Path):
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as tar:
        link = tarfile.TarInfo("cat/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for name in ("/../cat/up.jpg", "/cat/./root.jpg"):
            entry = tarfile.TarInfo(name)
            entry.size = 3
            tar.addfile(entry, io.BytesIO(b"abc"))
    link, climbing, root = ArchiveSource(path)
    assert link == SkippedFile(key="cat/link.jpg", reason="a link or a device, not a regular file")
    assert climbing == SkippedFile(key="../cat/up.jpg", reason="its name leads out of the archive")
    assert isinstance(root, Candidate)
    assert (root.key, root.read()) == ("cat/root.jpg", b"abc")


def test_of_two_files_of_one_name_in_an_archive_the_first_is_taken(folder: Path, tmp_path: Path):
    path = archive(folder, tmp_path / "photos.tar").path
    with tarfile.open(path, "a") as tar:
        again = tarfile.TarInfo("cat/0001.jpg")
        again.size = 3
        tar.addfile(again, io.BytesIO(b"abc"))
    skipped = dict(ingest_from(ArchiveSource(path), MemoryStore(), seed=1).skipped)
    assert "came before" in skipped["cat/0001.jpg"]


def test_a_file_that_vanishes_while_photos_are_ingested_is_passed_over(tmp_path: Path):
    write_photos(tmp_path, per_class=30)
    source = FolderSource(tmp_path)
    found = list(source)
    (tmp_path / "cat" / "0003.jpg").unlink()
    unread = [each for each in found if isinstance(each, Candidate) and each.key == "cat/0003.jpg"]
    with pytest.raises(Unreadable, match="No such file"):
        unread[0].read()


def test_a_file_that_grows_while_it_is_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_photos(tmp_path, per_class=1)
    path = tmp_path / "cat" / "0000.jpg"
    (candidate, *_) = (each for each in FolderSource(tmp_path) if isinstance(each, Candidate))
    seen = os.fstat
    asked: list[int] = []

    def growing(descriptor: int) -> os.stat_result:
        asked.append(descriptor)
        if len(asked) == 2:  # between the reading and the second look
            with path.open("ab") as file:
                file.write(b"more")
        return seen(descriptor)

    monkeypatch.setattr(os, "fstat", growing)
    with pytest.raises(Unreadable, match="changed while it was read"):
        candidate.read()


def test_an_object_removed_meanwhile_is_passed_over():
    store = MemoryStore()
    store.create("cat/1.jpg", b"photo")
    (candidate,) = PrefixSource(store=store, prefix="")
    store.delete("cat/1.jpg")
    assert isinstance(candidate, Candidate)
    with pytest.raises(Unreadable, match="removed"):
        candidate.read()


def test_what_is_no_regular_file_is_passed_over_and_not_waited_for(tmp_path: Path):
    (tmp_path / "cat").mkdir()
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    (tmp_path / "cat" / "link.jpg").symlink_to(tmp_path / "nowhere")
    others = set(threading.enumerate())
    found = list(FolderSource(tmp_path))
    assert found == [
        SkippedFile(key="cat/link.jpg", reason="not a regular file"),
        SkippedFile(key="cat/pipe.jpg", reason="not a regular file"),
    ]
    assert set(threading.enumerate()) <= others, "a thread waits for what somebody may write into the pipe"


def test_a_name_that_is_no_utf8_is_passed_over_in_letters_that_can_be_shown(tmp_path: Path):
    (tmp_path / "cat").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/cat/\xff.jpg")).write_bytes(b"photo")
    assert list(FolderSource(tmp_path)) == [
        SkippedFile(key="cat/\\udcff.jpg", reason="its name is no UTF-8; rename it"),
    ]


def test_a_huge_file_is_not_read(tmp_path: Path):
    (tmp_path / "cat").mkdir()
    with (tmp_path / "cat" / "film.jpg").open("wb") as file:
        file.truncate(limits.MAX_BYTES + 1)  # sparse
    (found,) = FolderSource(tmp_path)
    assert isinstance(found, Candidate)
    with pytest.raises(Unreadable, match="the limit is"):
        found.read()
