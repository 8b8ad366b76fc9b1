"""The second evaluator of policies comes from npm's registry, which may not answer."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.pulumi_stand_in import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

_NOBODY = "http://127.0.0.1:9/"
"""The port `discard`, at which nothing listens."""


def test_without_an_answer_from_npms_registry_make_says_so_in_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    shutil.copytree(REPOSITORY / "tests/simulator", tmp_path / "tests/simulator")
    (tmp_path / ".venv").symlink_to(REPOSITORY / ".venv")
    target = ".tools/iam-simulate/.ready"
    away = {"npm_config_registry": _NOBODY, "npm_config_cache": str(tmp_path / "cache"), "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        ["make", "--old-file", ".venv/.ready", target],
        cwd=tmp_path,
        env={**os.environ, **away},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if "***" not in line]
    assert said == [
        f"make {target}: npm could not install iam-simulate (tests only); check that npm's registry answers "
        "(npm ping), then run make again"
    ]
    assert not (tmp_path / target).exists()
