import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine.assets import AssetFolder
from rehearsal.engine.errors import Unsupported


@pytest.fixture
def folder(tmp_path: Path) -> AssetFolder:
    (tmp_path / "project" / "code").mkdir(parents=True)
    (tmp_path / "project" / "hello.txt").write_text("hello")
    (tmp_path / "project" / "code" / "b.py").write_text("b")
    (tmp_path / "project" / "code" / "a.py").write_text("a")
    return AssetFolder(tmp_path / "work", project=tmp_path / "project")


def content(tmp_path: Path, path: str) -> bytes:
    return (tmp_path / "work" / path).read_bytes()


def test_a_file_and_a_string_with_the_same_content_have_the_same_path(folder: AssetFolder, tmp_path: Path):
    path = folder.materialise({"path": "hello.txt"})
    assert folder.materialise({"text": "hello"}) == path
    assert content(tmp_path, path) == b"hello"


def test_the_path_changes_with_the_content_alone(folder: AssetFolder, tmp_path: Path):
    before = folder.materialise({"path": "hello.txt"})
    (tmp_path / "project" / "hello.txt").touch()
    assert folder.materialise({"path": "hello.txt"}) == before
    (tmp_path / "project" / "hello.txt").write_text("goodbye")
    assert folder.materialise({"path": "hello.txt"}) != before


def test_a_folder_becomes_an_archive_of_its_files(folder: AssetFolder, tmp_path: Path):
    archive = zipfile.ZipFile(io.BytesIO(content(tmp_path, folder.materialise({"path": "code"}))))
    assert {name: archive.read(name) for name in archive.namelist()} == {"a.py": b"a", "b.py": b"b"}


@given(st.permutations(["z", "a", "m"]))
def test_an_archive_does_not_depend_on_the_order_of_its_members(tmp_path_factory, order: list[str]):
    work = tmp_path_factory.mktemp("work")
    assets = AssetFolder(work, project=work)
    members = {name: {"text": name} for name in order}
    known = AssetFolder(work, project=work).materialise({"assets": {n: {"text": n} for n in "amz"}})
    assert assets.materialise({"assets": members}) == known


def test_archives_nest(folder: AssetFolder, tmp_path: Path):
    nested = {"assets": {"top": {"text": "t"}, "src": {"path": "code"}, "deep": {"assets": {"x": {"text": "x"}}}}}
    archive = zipfile.ZipFile(io.BytesIO(content(tmp_path, folder.materialise(nested))))
    assert archive.namelist() == ["deep/x", "src/a.py", "src/b.py", "top"]


def test_what_is_not_there_or_elsewhere_is_refused(folder: AssetFolder):
    with pytest.raises(Unsupported, match=r"missing\.txt"):
        folder.materialise({"path": "missing.txt"})
    with pytest.raises(Unsupported, match="from a URI"):
        folder.materialise({"uri": "https://example.com/x"})
