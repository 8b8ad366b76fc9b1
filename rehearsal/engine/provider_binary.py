"""Where the AWS provider binary may be on a machine, and how it is found."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rehearsal.engine.errors import ProviderMissing

VARIABLE = "PETPARK_AWS_PROVIDER"
_LAYOUT = Path("registry.terraform.io", "hashicorp", "aws")
_BINARY = "terraform-provider-aws*"

# One level below these, any folder that is laid out as a mirror counts: the file system hierarchy's places for
# add-on software and shared data (FHS 3.0, chapters 3.13, 4.7, 4.11).
_SHARED = ("/opt", "/usr/local/share", "/usr/share", "/usr/local/lib", "/usr/lib", "/srv", "/var/lib", "/var/opt")


def find_provider(environment: Mapping[str, str] = os.environ, *, root: Path = Path("/")) -> Path:
    """The AWS provider binary to use; raises `ProviderMissing`, which says where it was looked for.

    In this order: the variable `PETPARK_AWS_PROVIDER`, Terraform's configured filesystem mirrors, its implied ones,
    and mirrors one level below the folders for shared software. The highest version of the first place wins.
    `root` stands for the file system's root, so that tests can have one of their own.
    """
    if chosen := environment.get(VARIABLE):
        return _chosen(Path(chosen))
    looked: list[Path] = []
    for mirror in _mirrors(environment, root):
        looked.append(mirror)
        if (found := newest_in(mirror)) is not None:
            return found
    raise ProviderMissing(_missing(looked))


def newest_in(mirror: Path) -> Path | None:
    """The highest version for this machine in `mirror` (Terraform's unpacked layout), or None."""
    here = f"{'darwin' if sys.platform == 'darwin' else 'linux'}_{_architecture()}"
    found = [
        binary
        for binary in mirror.joinpath(_LAYOUT).glob(f"*/{here}/{_BINARY}")
        if binary.is_file() and os.access(binary, os.X_OK)
    ]
    return max(found, key=lambda binary: _version(binary.parts[-3]), default=None)


def _chosen(path: Path) -> Path:
    found = newest_in(path) if path.is_dir() else path
    if found is None or not found.is_file() or not os.access(found, os.X_OK):
        raise ProviderMissing(
            f"{VARIABLE} is {path}, which is neither an executable AWS provider nor a mirror that holds one."
        )
    return found.resolve()


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
    files = [environment.get("TF_CLI_CONFIG_FILE"), environment.get("TERRAFORM_CONFIG"), str(home / ".terraformrc")]
    for file in filter(None, files):
        try:
            text = Path(file).read_text(encoding="utf-8")
        except OSError:
            continue
        for block in re.findall(r"filesystem_mirror\s*\{(.*?)\}", text, re.DOTALL):
            yield from (Path(path) for path in re.findall(r'path\s*=\s*"([^"]+)"', block))
        yield from (Path(path).expanduser() for path in re.findall(r'plugin_cache_dir\s*=\s*"([^"]+)"', text))
    if cache := environment.get("TF_PLUGIN_CACHE_DIR"):
        yield Path(cache)


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


def _missing(looked: list[Path]) -> str:
    places = "\n".join(f"  {place}" for place in dict.fromkeys(looked))
    return (
        "No AWS provider binary was found, so the embedded engine cannot deploy. It looked in these mirrors:\n"
        f"{places}\n"
        f"and one level below {', '.join(_SHARED)} and the home directory for registry.terraform.io/hashicorp/aws.\n"
        "Two ways out:\n"
        "  1. Shortest where the internet is open: `petpark doctor --install-pulumi`, then rehearse with "
        "`--engine pulumi`.\n"
        "  2. Download terraform-provider-aws from releases.hashicorp.com, unpack it, and point "
        f"{VARIABLE} at the file."
    )
