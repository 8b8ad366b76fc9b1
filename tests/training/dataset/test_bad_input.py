"""What bad input gets: a clear refusal, or a counted exclusion with its reason; never a traceback, nothing lost."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from registry.layout.data_lake import photo_key
from registry.store.memory_store import MemoryStore
from tests.training.photos import jpeg, write_photos
from training.dataset.index import read_index
from training.dataset.ingest import Ingestion, ingest, ingest_from
from training.dataset.manifest import Photo
from training.dataset.sources import FolderSource
from training.errors import DatasetRefused


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("good"), per_class=40)


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for path in (good / label).iterdir():
            (tmp_path / label / path.name).hardlink_to(path)
    return tmp_path


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> Image.Image:
    noise = np.random.default_rng(4321).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    return Image.fromarray(noise).convert(mode)


def kept(found: Ingestion, key: str) -> Photo:
    return next(photo for photo in found.manifest.photos if photo.key == key)


def taken(folder: Path, data: bytes, name: str = "odd.jpg") -> Ingestion:
    (folder / "cat" / name).write_bytes(data)
    return ingest(folder, MemoryStore(), seed=1)


def why_not(found: Ingestion) -> str:
    """The one exclusion's reason; everything else was taken."""
    (skipped,) = found.skipped
    assert skipped[0].startswith("cat/odd")
    assert len(found.manifest.photos) == 80
    return skipped[1]


def bomb() -> bytes:
    """A PNG of 20,000×20,000 pixels in some 50 kB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (20_000 * (1 + 20_000 // 8)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_cmyk_jpeg_is_a_photo(folder: Path):
    assert kept(taken(folder, saved(picture("CMYK"), "JPEG")), "cat/odd.jpg").width == 48


def test_a_16_bit_png_is_a_photo_and_not_a_white_one(folder: Path):
    deep = Image.fromarray((np.arange(48 * 32).reshape(32, 48) * 40).astype(np.uint16))
    assert 0.2 < kept(taken(folder, saved(deep, "PNG"), "odd.png"), "cat/odd.png").brightness < 0.8


def test_exif_rotation_is_honoured(folder: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = kept(taken(folder, saved(picture(), "JPEG", exif=exif)), "cat/odd.jpg")
    assert (photo.width, photo.height) == (32, 48)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "AVIF"])
def test_a_picture_of_another_format_is_excluded_with_the_way_to_convert_it(folder: Path, kind: str):
    said = why_not(taken(folder, saved(picture(), kind), f"odd.{kind.lower()}"))
    assert f"not a JPEG, PNG or WebP picture but {kind}; convert it: magick mogrify -format jpg FILE" in said


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_a_phones_heic_photo_is_excluded_with_the_way_to_convert_it(folder: Path, brand: bytes):
    heic = b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00mif1heic" + bytes(200)
    assert "but HEIC; convert it" in why_not(taken(folder, heic, "odd.heic"))


def test_a_link_that_leads_to_itself_costs_no_other_photo(folder: Path):
    (folder / "cat" / "odd.jpg").symlink_to("odd.jpg")
    assert "symbolic links" in why_not(ingest(folder, MemoryStore(), seed=1))


def test_a_link_to_nothing_is_excluded_and_one_to_a_photo_is_a_photo(folder: Path):
    (folder / "cat" / "odd.jpg").symlink_to("gone.jpg")
    assert "not a regular file" in why_not(ingest(folder, MemoryStore(), seed=1))
    (folder / "cat" / "gone.jpg").write_bytes(jpeg(7, side=96))
    found = ingest(folder, MemoryStore(), seed=1)
    assert [reason for _, reason in found.skipped] == ["same bytes as cat/gone.jpg"]


def test_a_foreign_object_among_the_lakes_photos_stops_no_ingestion(folder: Path):
    store = MemoryStore()
    for name in ("x", "ab" * 31 + "g0", "AB" * 32, "a/b"):
        store.create(photo_key(name), b"not a photo of ours")
    assert ingest(folder, store, seed=1).added == 80


def test_class_folders_that_look_the_same_are_one_class(folder: Path):
    composed, decomposed = "\u017c\u00f3\u0142w", "z\u0307o\u0301\u0142w"
    for number, name in enumerate((composed, decomposed, f"{composed} ")):
        (folder / name).mkdir()
        for photo in range(14):
            (folder / name / f"{number}-{photo}.jpg").write_bytes(jpeg(1_000 + 20 * number + photo, side=96))
    assert ingest(folder, MemoryStore(), seed=1).manifest.labels == ("cat", "dog", composed)


@pytest.mark.parametrize("name", ["c\x1b[31mat", "c\u200bat", "c\u202eat", " "])
def test_a_class_that_cannot_be_read_as_it_is_is_excluded(folder: Path, name: str):
    (folder / name).mkdir()
    (folder / name / "1.jpg").write_bytes(jpeg(8, side=96))
    ((_, reason),) = ingest(folder, MemoryStore(), seed=1).skipped
    assert "rename the folder" in reason
    assert reason.isprintable()


def test_a_truncated_jpeg_is_excluded(folder: Path):
    assert "truncated" in why_not(taken(folder, jpeg(5, side=96)[:-1500]))


def test_a_text_file_named_jpg_is_excluded(folder: Path):
    assert "not a JPEG" in why_not(taken(folder, b"three cats today\n"))


def test_a_decompression_bomb_is_excluded_before_it_is_decoded(folder: Path):
    assert "too many pixels; the limit is 50,000,000" in why_not(taken(folder, bomb(), "odd.png"))


def test_unicode_and_newlines_in_names_are_kept(folder: Path):
    found = taken(folder, jpeg(4321), "日本\n\r\t \"'é.jpg")
    assert kept(found, "cat/日本\n\r\t \"'é.jpg").label == "cat"


def test_an_empty_class_is_no_class(folder: Path):
    (folder / "fox").mkdir()
    assert ingest(folder, MemoryStore(), seed=1).manifest.labels == ("cat", "dog")


def test_a_class_of_nothing_usable_is_no_class_and_its_files_are_named(folder: Path):
    (folder / "fox").mkdir()
    (folder / "fox" / "1.jpg").write_bytes(b"")
    found = ingest(folder, MemoryStore(), seed=1)
    assert found.skipped == (("fox/1.jpg", "the file is empty"),)


@pytest.mark.parametrize(
    ("classes", "per_class", "said"),
    [
        (("cat",), 30, "only one class"),
        (("cat",), 1, "only one class"),
        (("cat", "dog"), 1, "class 'cat' has 1 usable photos"),
        (("Cat", "cat", "dog"), 30, "differ only by case"),
    ],
)
def test_one_class_one_photo_and_labels_differing_by_case_are_refused(
    tmp_path: Path, classes: tuple[str, ...], per_class: int, said: str
):
    write_photos(tmp_path, per_class=per_class, classes=classes)
    with pytest.raises(DatasetRefused, match=said):
        ingest(tmp_path, MemoryStore(), seed=1)


def test_labels_differing_by_case_in_an_index_are_refused(folder: Path):
    lines = ["key,label"]
    for place, path in enumerate(sorted(folder.rglob("*.jpg"))):
        lines.append(f"{path.relative_to(folder)},{'Cat' if place % 2 else path.parent.name}")
    with pytest.raises(DatasetRefused, match="differ only by case"):
        ingest_from(
            FolderSource(folder), MemoryStore(), seed=1, index=read_index("p.csv", "\n".join(lines).encode() + b"\n")
        )


def test_a_photo_without_any_time_has_none(folder: Path):
    found = ingest(folder, MemoryStore(), seed=1)
    assert {photo.captured_at for photo in found.manifest.photos} == {None}


def test_the_indexs_time_comes_before_the_cameras_and_that_before_none(folder: Path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    for name, seed in (("a.jpg", 1), ("b.jpg", 2)):
        noise = Image.open(io.BytesIO(jpeg(70_000 + seed)))
        (folder / "cat" / name).write_bytes(saved(noise, "JPEG", exif=exif))
    rows = [f"{path.relative_to(folder)},{path.parent.name}," for path in sorted(folder.rglob("*.jpg"))]
    text = "key,label,captured_at\n" + "\n".join(rows).replace("cat/a.jpg,cat,", "cat/a.jpg,cat,2026-03-01T00:00:00")
    found = ingest_from(FolderSource(folder), MemoryStore(), seed=1, index=read_index("p.csv", text.encode()))
    times = {photo.key: photo.captured_at for photo in found.manifest.photos}
    assert times["cat/a.jpg"] == "2026-03-01T00:00:00"
    assert times["cat/b.jpg"] == "2026-01-02T03:04:05"
    assert times["cat/0001.jpg"] is None


def test_rows_without_a_file_files_without_a_row_and_contradicting_rows_are_counted(folder: Path):
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in sorted(folder.rglob("*.jpg"))]
    rows.remove("cat/0001.jpg,cat")
    rows += ["cat/gone.jpg,cat", "cat/0002.jpg,dog", "cat/lost.jpg,"]
    index = read_index("p.csv", ("key,label\n" + "\n".join(rows) + "\n").encode())
    (folder / "p.csv").write_text("the index itself is no photo, and not worth a word")
    found = ingest_from(FolderSource(folder), MemoryStore(), seed=1, index=index)
    said = dict(found.skipped)
    assert said.keys() == {"cat/0001.jpg", "cat/0002.jpg", "cat/gone.jpg", "cat/lost.jpg"}
    assert said["cat/0001.jpg"] == "not in the index"
    assert "twice" in said["cat/0002.jpg"]
    assert said["cat/gone.jpg"] == "in the index, but there is no such file"
    assert "no label" in said["cat/lost.jpg"]
    assert len(found.manifest.photos) + len(said) == 80 + 2


def test_too_few_cameras_to_split_by_are_said_to_be_the_reason(folder: Path):
    photos = sorted(folder.rglob("*.jpg"))

    def refusal(cameras: int) -> str:
        rows = "".join(
            f"{path.relative_to(folder)},{path.parent.name},north {place % cameras},2026-03-05T10:00:00\n"
            for place, path in enumerate(photos)
        )
        index = read_index("index.csv", f"key,label,camera,captured_at\n{rows}".encode())
        with pytest.raises(DatasetRefused) as refused:
            ingest_from(FolderSource(folder), MemoryStore(), seed=1, index=index)
        return str(refused.value)

    assert "its cameras (2) are in one split each: --split-by day, or more cameras" in refusal(2)
    assert "split; its cameras (1)" in refusal(1)


def test_the_camera_is_the_group_and_keeps_its_photos_in_one_split(folder: Path):
    rows = [
        f"{path.relative_to(folder)},{path.parent.name},camera {place % 20}"
        for place, path in enumerate(sorted(folder.rglob("*.jpg")))
    ]
    index = read_index("p.csv", ("key,label,camera\n" + "\n".join(rows) + "\n").encode())
    photos = ingest_from(FolderSource(folder), MemoryStore(), seed=1, index=index).manifest.photos
    assert {photo.group for photo in photos} == {f"camera {number}" for number in range(20)}
    assert len({(photo.group, photo.split) for photo in photos}) == 20


def test_a_folder_that_empties_under_ingestion_is_refused_with_what_was_skipped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    source = FolderSource(folder)
    found = list(source)
    for path in folder.rglob("*.jpg"):
        path.unlink()
    monkeypatch.setattr(FolderSource, "__iter__", lambda _: iter(found))
    with pytest.raises(DatasetRefused, match=r"80 skipped, first: cat/0000\.jpg: No such file"):
        ingest_from(source, MemoryStore(), seed=1)
