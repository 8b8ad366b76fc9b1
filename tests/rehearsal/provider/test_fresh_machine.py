"""A machine without a provider: set-up through `make`, from a publisher on loopback, up to the first deployed stack."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.engine import find_provider
from tests.loopback_publisher import publisher
from tests.moto_cloud import REGION, MotoCloud

ROOT = Path(__file__).resolve().parents[3]
COPIED = (
    "camera",
    "imaging",
    "infra",
    "monitoring",
    "petpark",
    "registry",
    "rehearsal",
    "requirements",
    "serving",
    "training",
)

HIDDEN = """
import os, runpy, sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
from rehearsal.provider import mirrors

# Nothing is installed for the whole machine: what lies at its root is hidden, and all else is as it is.
everything = mirrors.installed


def hidden(environment=os.environ, *, root=None, tools=mirrors.TOOLS):
    return everything(environment, root=Path.cwd() / "empty", tools=tools)


mirrors.installed = hidden
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""

DEPLOY = """
import json, sys
from pathlib import Path
from rehearsal.engine import EmbeddedEngine, find_provider

url, region = sys.argv[1:]
engine = EmbeddedEngine(
    Path("tiny"), state_dir=Path("state").resolve(), passphrase="correct horse",
    config={"test": {"aws:region": region, "aws:endpoints": url}},
)
update = engine.up("test")
print(json.dumps({"changes": dict(update.changes), "topic": update.outputs["topic"], "provider": str(find_provider())}))
"""

PROGRAM = """
import pulumi
import pulumi_aws as aws

pulumi.export("topic", aws.sns.Topic("alarms").arn)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A fresh copy of the sources with the environments of this one, which are set-up's other steps."""
    folder = tmp_path / "petpark"
    folder.mkdir()
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "hidden.py").write_text(HIDDEN)
    (folder / "deploy.py").write_text(DEPLOY)
    (folder / "tiny").mkdir()
    (folder / "tiny" / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
    (folder / "tiny" / "__main__.py").write_text(PROGRAM)
    yield folder
    shutil.rmtree(folder)  # the provider has 700 MB, and pytest keeps folders


def archived(provider: Path) -> Path:
    """The installed provider as its publisher's archive: binary and licence, uncompressed. The caller deletes it."""
    descriptor, name = tempfile.mkstemp(suffix=".zip")
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:
        for path in sorted(provider.parent.iterdir()):
            made.write(path, path.name)
    return Path(name)


def pin(checkout: Path, archive: Path, version: str) -> None:
    """Pin `archive`; what is known of the unpacked provider stays pinned as it is in the repository."""
    file = checkout / "requirements" / "downloads.toml"
    with archive.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    text = re.sub(r"packed = [\d_]+", f"packed = {archive.stat().st_size}", file.read_text(), count=1)
    text = re.sub(r"sha256 = \[.*?\]", f'sha256 = ["{digest}"]', text, flags=re.DOTALL)
    file.write_text(re.sub(r'version = ".*"', f'version = "{version}"', text))


def test_with_an_empty_home_and_no_provider_make_fetches_one_and_a_stack_is_deployed_by_it(
    checkout: Path, tmp_path: Path
) -> None:
    provider = find_provider()  # without one there is nothing to serve, and this fails
    version, platform = provider.parts[-3:-1]
    archive = archived(provider)
    try:
        pin(checkout, archive, version)
        home = tmp_path / "home"
        home.mkdir()
        environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
        }
        hidden = ".venv/bin/python hidden.py"
        with publisher() as server, MotoCloud() as cloud:
            path = f"/terraform-provider-aws/{version}/terraform-provider-aws_{version}_{platform}.zip"
            server.large[path] = archive
            environment["PETPARK_PROVIDER_MIRROR"] = server.url
            ready = [
                f"-o{made}" for made in (".venv/.ready", ".venv-emulator/.ready", ".venv/.compiled", ".tools/bin/uv")
            ]
            make = ["make", *ready, "provider", f"RUN={hidden}"]
            first, second = (
                subprocess.run(make, cwd=checkout, env=environment, capture_output=True, text=True, timeout=240)
                for _ in range(2)
            )
            deployed = subprocess.run(
                [*hidden.split(), "-m", "deploy", cloud.url, REGION],
                cwd=checkout,
                env=environment,
                capture_output=True,
                text=True,
                timeout=240,
            )
    finally:
        archive.unlink()
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.startswith(f"setup 4/4  AWS provider {version} from 127.0.0.1:")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert [asked for asked, _ in server.asked] == [path]
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    told = json.loads(deployed.stdout.splitlines()[-1])
    assert set(told["changes"]) == {"create"}
    assert told["topic"].startswith(f"arn:aws:sns:{REGION}:")
    assert told["provider"].startswith(str(checkout / ".tools" / "registry.terraform.io"))
    assert [path for path in home.rglob("*") if path.is_file()] == []
