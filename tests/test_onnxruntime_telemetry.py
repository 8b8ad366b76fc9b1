"""ONNX Runtime keeps no device id and sends no events, in any process of petpark."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LOADS = re.compile(r"^\s*(import onnxruntime|from onnxruntime)", re.MULTILINE)
SWITCH = 'os.environ["ORT_DISABLE_TELEMETRY"] = "1"'


def files_after(statement: str, home: Path) -> list[Path]:
    # Continuous integration and unit tests are not counted by ONNX Runtime, which would hide the default.
    hidden = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "GITHUB_ACTIONS", "TF_BUILD", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", statement],
        cwd=REPOSITORY,
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("package", ["training", "serving", "benchmarks.support"])
def test_a_process_that_loads_onnx_runtime_leaves_nothing_in_the_users_home(package: str, tmp_path: Path):
    assert files_after(f"import {package}, onnxruntime", tmp_path) == []


def test_every_file_that_loads_onnx_runtime_is_in_a_package_that_turned_its_telemetry_off():
    sources = [path for path in REPOSITORY.glob("[a-z]*/**/*.py") if not path.is_relative_to(REPOSITORY / "tests")]
    loading = [path for path in sources if LOADS.search(path.read_text())]
    assert loading
    for path in loading:
        package = REPOSITORY / path.relative_to(REPOSITORY).parts[0] / "__init__.py"
        support = REPOSITORY / "benchmarks" / "support"
        if path.is_relative_to(support):
            package = support / "__init__.py"
        switched = package if package.exists() else path
        assert SWITCH in switched.read_text(), f"{path} loads ONNX Runtime with its telemetry on"
        if switched == path:
            before, _, after = path.read_text().partition(SWITCH)
            assert LOADS.search(after), path
            assert not LOADS.search(before), f"{path} turns the telemetry off too late"
