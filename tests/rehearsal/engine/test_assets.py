from pathlib import Path

import pytest

from rehearsal.engine.errors import Unsupported
from rehearsal.engine.translation.resources import AssetFolder


@pytest.fixture
def folder(tmp_path: Path) -> AssetFolder:
    (tmp_path / "project" / "code").mkdir(parents=True)
    (tmp_path / "project" / "hello.txt").write_text("hello")
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


@pytest.mark.parametrize(
    ("asset", "named"),
    [
        ({"path": "missing.txt"}, r"missing\.txt"),
        ({"path": "code"}, "'code' is not a file"),
        ({"uri": "https://example.com/x"}, "from a file or a string only"),
        ({"assets": {"a": {"text": "a"}}}, "from a file or a string only"),
    ],
)
def test_what_is_not_a_file_or_a_text_is_refused(folder: AssetFolder, asset: dict[str, object], named: str):
    with pytest.raises(Unsupported, match=named):
        folder.materialise(asset)
