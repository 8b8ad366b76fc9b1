"""An installed petpark has the files that its modules read, not only the modules."""

from __future__ import annotations

from pathlib import Path

import pytest
from setuptools import Distribution
from setuptools.command.build_py import build_py

from tests.pulumi_stand_in import REPOSITORY

_SOURCES = frozenset({".py", ".pyi", ".proto"})


def test_every_file_beside_the_modules_is_part_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    distribution = Distribution()
    distribution.parse_config_files([str(REPOSITORY / "pyproject.toml")])
    command = build_py(distribution)
    command.ensure_finalized()
    command.manifest_files = {}  # what version control has plays no part
    packaged = {
        Path(file)
        for package in command.packages
        for file in command.find_data_files(package, command.get_package_dir(package))
    }
    packages = [Path(*package.split(".")) for package in command.packages]
    beside = {
        file
        for folder in packages
        for file in folder.iterdir()
        if file.is_file() and file.suffix not in _SOURCES and "__pycache__" not in file.parts
    }
    assert Path("infra/configuration/prices.json") in packaged
    assert beside <= packaged
