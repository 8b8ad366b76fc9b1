import platform
import sys
from pathlib import Path

import pytest

from rehearsal.engine import ProviderMissing, find_provider
from rehearsal.provider.mirrors import network_mirrors, newest_in

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
HERE = f"{'darwin' if sys.platform == 'darwin' else 'linux'}_{ARCHITECTURE}"


def mirror(folder: Path, *versions: str, system: str = HERE) -> list[Path]:
    binaries: list[Path] = []
    for version in versions:
        place = folder / "registry.terraform.io" / "hashicorp" / "aws" / version / system
        place.mkdir(parents=True)
        binary = place / f"terraform-provider-aws_v{version}_x5"
        binary.write_text("#!/bin/sh\n")
        binary.chmod(0o755)
        binaries.append(binary)
    return binaries


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def find(home: Path, root: Path, **environment: str) -> Path:
    return find_provider({"HOME": str(home)} | environment, root=root, tools=home.parent / ".tools")


def test_the_variable_goes_before_everything(home: Path, tmp_path: Path):
    mirror(tmp_path / "root" / "opt" / "terraform", "5.0.0")
    (chosen,) = mirror(tmp_path / "mine", "4.0.0")
    root = tmp_path / "root"
    assert find(home, root, PETPARK_AWS_PROVIDER=str(chosen)) == chosen
    assert find(home, root, PETPARK_AWS_PROVIDER=str(tmp_path / "mine")) == chosen


def test_a_variable_that_leads_nowhere_is_said_to(home: Path, tmp_path: Path):
    with pytest.raises(ProviderMissing, match=r"PETPARK_AWS_PROVIDER is .* neither"):
        find(home, tmp_path, PETPARK_AWS_PROVIDER=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "place",
    [
        "home/.terraform.d/plugins",
        "home/.local/share/terraform/plugins",
        "home/mirror",
        "root/usr/local/share/terraform/plugins",
        "root/opt/anything",
        "root/usr/share/mirror",
        "root/srv/terraform",
        "root/opt",
        "terraform.d/plugins",
    ],
)
def test_mirrors_are_found_where_terraform_and_the_file_system_hierarchy_keep_them(
    home: Path, tmp_path: Path, place: str
):
    (binary,) = mirror(tmp_path / place, "5.0.0")
    assert find(home, tmp_path / "root").resolve() == binary


def test_terraforms_own_configuration_is_read(home: Path, tmp_path: Path):
    (binary,) = mirror(tmp_path / "configured", "5.0.0")
    file = tmp_path / "terraform.rc"
    file.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tmp_path}/configured"\n  }}\n}}\n')
    assert find(home, tmp_path / "root", TF_CLI_CONFIG_FILE=str(file)) == binary


def test_the_highest_version_wins_and_other_systems_do_not_count(tmp_path: Path):
    binaries = mirror(tmp_path, "5.9.0", "5.100.0", "5.20.1")
    mirror(tmp_path, "6.0.0", system="plan9_mips")
    assert newest_in(tmp_path) == binaries[1]


def test_a_missing_binary_is_one_sentence_with_the_ways_out(home: Path, tmp_path: Path):
    with pytest.raises(ProviderMissing) as missing:
        find(home, tmp_path / "root")
    text = str(missing.value)
    assert "\n" not in text
    assert "make provider" in text
    assert "petpark doctor --install-pulumi" in text
    assert "PETPARK_AWS_PROVIDER" in text


def test_what_set_up_fetched_is_found_after_everything_else(home: Path, tmp_path: Path):
    (fetched,) = mirror(tmp_path / ".tools", "5.99.0")
    assert find(home, tmp_path / "root") == fetched
    (own,) = mirror(tmp_path / "root" / "opt" / "terraform", "5.0.0")
    assert find(home, tmp_path / "root") == own


@pytest.mark.parametrize(
    ("lines", "used"),
    [
        ("", True),
        ('include = ["registry.terraform.io/*/*"]', True),
        ('include = ["hashicorp/*"]', True),
        ('include = ["example.com/*/*"]', False),
        ('exclude = ["registry.terraform.io/hashicorp/*"]', False),
        ('exclude = ["hashicorp/google"]', True),
    ],
)
def test_a_network_mirror_of_terraforms_configuration_counts_where_it_is_meant_for_the_aws_provider(
    home: Path, lines: str, used: bool
):
    home.mkdir()
    block = f'network_mirror {{\n    url = "https://mirror.example/providers"\n    {lines}\n  }}'
    (home / ".terraformrc").write_text(f"provider_installation {{\n  {block}\n}}\n")
    assert network_mirrors({"HOME": str(home)}) == (["https://mirror.example/providers/"] if used else [])
