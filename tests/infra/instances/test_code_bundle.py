import ast
import hashlib
import os
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.instances.code_bundle import CONTENT, CodeIncomplete, build

ROOMS = tuple(part for part in CONTENT if "." not in part)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_é", min_size=1, max_size=8)
FILES = st.dictionaries(
    st.tuples(st.sampled_from(ROOMS), NAMES, NAMES).map(lambda parts: f"{parts[0]}/{parts[1]}-dir/{parts[2]}.py"),
    st.binary(max_size=50),
    max_size=8,
)


def _write(root: Path, files: dict[str, bytes], *, mode: int = 0o644, time: int = 1_000_000_000) -> None:
    for room in ROOMS:
        (root / room).mkdir(exist_ok=True)
    for name, content in {**files, "bootstrap.sh": b"#!/bin/bash\n"}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, (time, time))


@given(FILES, st.randoms(use_true_random=False), st.sampled_from([0o600, 0o644, 0o755]), st.integers(1, 2**31))
def test_the_same_files_give_the_same_bytes_whatever_their_order_mode_and_time(files, random, mode, time):
    shuffled = list(files.items())
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        here, there, out = Path(folder, "here"), Path(folder, "there"), Path(folder, "out")
        for root in (here, there):
            root.mkdir()
        _write(here, files)
        _write(there, dict(shuffled), mode=mode, time=time)
        first, second = build(here, out / "1"), build(there, out / "2")
        assert first[1] == second[1]
        assert first[0].read_bytes() == second[0].read_bytes()


@given(FILES, FILES)
def test_different_files_give_different_hashes(files, others):
    with tempfile.TemporaryDirectory() as folder:
        hashes = []
        for number, content in enumerate((files, others)):
            root = Path(folder, str(number))
            root.mkdir()
            _write(root, content)
            hashes.append(build(root, Path(folder, "out"))[1])
    assert (hashes[0] == hashes[1]) == (files == others)


@given(FILES)
def test_a_bundle_is_named_by_its_hash_and_gives_back_every_file(files):
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder, "root"), Path(folder, "out")
        root.mkdir()
        _write(root, files)
        path, sha256 = build(root, out)
        assert path == out / f"{sha256}.zip"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        assert [entry.name for entry in out.iterdir()] == [path.name]
        with zipfile.ZipFile(path) as bundle:
            assert bundle.namelist() == sorted(bundle.namelist())
            assert {name: bundle.read(name) for name in bundle.namelist() if name != "bootstrap.sh"} == files


@pytest.mark.parametrize(
    "leftover",
    ["imaging/__pycache__/a.py", "imaging/a.pyc", "imaging/.hidden", "serving/.cache/a.py", "training/a.py~"],
)
def test_what_tools_leave_behind_stays_out(tmp_path, leftover):
    _write(tmp_path, {"imaging/a.py": b"a"})
    before = build(tmp_path, tmp_path / "out")[1]
    _write(tmp_path, {leftover: b"x"})
    assert build(tmp_path, tmp_path / "out")[1] == before


def test_a_part_that_is_missing_is_named(tmp_path):
    _write(tmp_path, {})
    (tmp_path / "bootstrap.sh").unlink()
    with pytest.raises(CodeIncomplete, match=r"needs bootstrap\.sh"):
        build(tmp_path, tmp_path / "out")


def test_the_repository_itself_can_be_bundled(tmp_path):
    root = Path(__file__).resolve().parents[3]
    path, _ = build(root, tmp_path)
    with zipfile.ZipFile(path) as bundle:
        names = set(bundle.namelist())
    assert {"bootstrap.sh", "registry/layout/jobs.py", "requirements/training.txt", "requirements/serving.txt"} <= names
    assert {"requirements/tools.txt", "petpark/worker/__main__.py"} <= names
    assert not [name for name in names if name.startswith(("infra", "rehearsal", "tests", "."))]


def test_a_job_has_every_package_of_ours_that_it_imports(tmp_path):
    """The worker, and the pages that it writes, at whatever place they import it."""
    root = Path(__file__).resolve().parents[3]
    ours = {each.name for each in root.iterdir() if (each / "__init__.py").exists()}
    imported: set[str] = set()
    for folder in ("petpark/worker", "petpark/reports"):
        for file in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module:
                    imported.add(node.module.partition(".")[0])
                elif isinstance(node, ast.Import):
                    imported |= {each.name.partition(".")[0] for each in node.names}
    assert {"monitoring", "registry"} <= imported & ours <= set(CONTENT)
