"""Where the AWS provider binary may be on a machine, and how it is found."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from petpark.downloads import TOOLS

VARIABLE = "PETPARK_AWS_PROVIDER"
_LAYOUT = Path("registry.terraform.io", "hashicorp", "aws")
_BINARY = "terraform-provider-aws*"

# One level below these, any folder that is laid out as a mirror counts: the file system hierarchy's places for
# add-on software and shared data (FHS 3.0, chapters 3.13, 4.7, 4.11).
_SHARED = ("/opt", "/usr/local/share", "/usr/share", "/usr/local/lib", "/usr/lib", "/srv", "/var/lib", "/var/opt")


def installed(
    environment: Mapping[str, str] = os.environ, *, root: Path = Path("/"), tools: Path = TOOLS
) -> Path | None:
    """The AWS provider binary of this machine, or None.

    In this order: the variable `PETPARK_AWS_PROVIDER` (nothing else counts if it is set), Terraform's configured
    filesystem mirrors, its implied ones, mirrors one level below the folders for shared software, and what set-up
    fetched into `tools`. The highest version of the first place wins. `root` stands for the file system's root, so
    that tests can have one of their own.
    """
    if chosen := environment.get(VARIABLE):
        return _chosen(Path(chosen))
    candidates = (newest_in(mirror) for mirror in (*_mirrors(environment, root), tools))
    return next((found for found in candidates if found is not None), None)


def newest_in(mirror: Path) -> Path | None:
    """The highest version for this machine in `mirror` (Terraform's unpacked layout), or None."""
    here = f"{'darwin' if sys.platform == 'darwin' else 'linux'}_{_architecture()}"
    found = [
        binary
        for binary in mirror.joinpath(_LAYOUT).glob(f"*/{here}/{_BINARY}")
        if binary.is_file() and os.access(binary, os.X_OK)
    ]
    return max(found, key=lambda binary: _version(binary.parts[-3]), default=None)


def packed(name: str, environment: Mapping[str, str] = os.environ, *, root: Path = Path("/")) -> Path | None:
    """The archive `name` in a mirror of Terraform's packed layout, which `terraform providers mirror` writes."""
    candidates = (mirror / _LAYOUT / name for mirror in _mirrors(environment, root))
    return next((path for path in candidates if path.is_file()), None)


def place(tools: Path, version: str, platform_: str) -> Path:
    """The folder of a provider in `tools`, in Terraform's layout."""
    return tools / _LAYOUT / version / platform_


def network_mirrors(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Base addresses of the network mirrors that Terraform's configuration names for the AWS provider.

    https://developer.hashicorp.com/terraform/cli/config/config-file#explicit-installation-method-configuration
    """
    home = Path(environment.get("HOME") or Path.home())
    found: list[str] = []
    for text in _configurations(environment, home):
        for block in re.findall(r"network_mirror\s*\{(.*?)\}", text, re.DOTALL):
            url = re.search(r'url\s*=\s*"([^"]+)"', block)
            if url and (_patterns(block, "include") is not False) and not _patterns(block, "exclude"):
                found.append(url[1].rstrip("/") + "/")
    return found


def _patterns(block: str, setting: str) -> bool | None:
    """Whether a list of provider addresses in `block` covers the AWS provider; None without such a list."""
    listed = re.search(setting + r"\s*=\s*\[(.*?)\]", block, re.DOTALL)
    if listed is None:
        return None
    patterns: list[str] = re.findall(r'"([^"]+)"', listed[1])
    whole = (pattern if pattern.count("/") == 2 else f"{_LAYOUT.parts[0]}/{pattern}" for pattern in patterns)
    return any(fnmatch(_LAYOUT.as_posix(), pattern) for pattern in whole)


def _chosen(path: Path) -> Path | None:
    found = newest_in(path) if path.is_dir() else path
    return None if found is None or not found.is_file() or not os.access(found, os.X_OK) else found.resolve()


def _mirrors(environment: Mapping[str, str], root: Path) -> Iterator[Path]:
    home = Path(environment.get("HOME") or Path.home())
    yield from _configured(environment, home)
    yield Path.cwd() / "terraform.d" / "plugins"
    yield home / ".terraform.d" / "plugins"
    yield home / ".local" / "share" / "terraform" / "plugins"
    for shared in ("usr/local/share", "usr/share"):
        yield root / shared / "terraform" / "plugins"
    for shared in (*(root / place.lstrip("/") for place in _SHARED), home):
        yield from _below(shared)


def _configured(environment: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Filesystem mirrors of Terraform's command line configuration, and its plugin cache."""
    for text in _configurations(environment, home):
        for block in re.findall(r"filesystem_mirror\s*\{(.*?)\}", text, re.DOTALL):
            yield from (Path(path) for path in re.findall(r'path\s*=\s*"([^"]+)"', block))
        yield from (Path(path).expanduser() for path in re.findall(r'plugin_cache_dir\s*=\s*"([^"]+)"', text))
    if cache := environment.get("TF_PLUGIN_CACHE_DIR"):
        yield Path(cache)


def _configurations(environment: Mapping[str, str], home: Path) -> Iterator[str]:
    files = [environment.get("TF_CLI_CONFIG_FILE"), environment.get("TERRAFORM_CONFIG"), str(home / ".terraformrc")]
    for file in filter(None, files):
        with contextlib.suppress(OSError):
            yield Path(file).read_text(encoding="utf-8", errors="replace")


def _below(folder: Path) -> Iterator[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return
    yield from (child for child in (folder, *children) if (child / _LAYOUT.parts[0]).is_dir())


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine := platform.machine().lower(), machine)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
