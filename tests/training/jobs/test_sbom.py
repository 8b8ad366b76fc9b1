"""The bill of materials names every package once, in the words of CycloneDX."""

import json
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

from training.jobs.version.sbom import write_sbom


def package(directory: Path, name: str, version: str, license_: str = "") -> Distribution:
    folder = directory / f"{name}-{version}.dist-info"
    folder.mkdir()
    stated = f"License: {license_}\n" if license_ else ""
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{stated}")
    return PathDistribution(folder)


def test_every_package_is_named_once_with_version_and_license(tmp_path: Path):
    packages = [
        package(tmp_path, "Pillow", "12.0"),
        package(tmp_path, "numpy", "2.5", "BSD-3-Clause"),
        package(tmp_path, "torch", "2.15+cpu", "a license's whole text " * 20),
    ]
    write_sbom(tmp_path / "sbom.json", model="pets", job="job-1", packages=[*packages, packages[0]])
    bill = json.loads((tmp_path / "sbom.json").read_text())
    found = {part["purl"]: part.get("licenses") for part in bill["components"]}
    assert found == {
        "pkg:pypi/pillow@12.0": None,
        "pkg:pypi/numpy@2.5": [{"license": {"name": "BSD-3-Clause"}}],
        "pkg:pypi/torch@2.15%2Bcpu": None,
    }
    assert bill["metadata"]["component"]["type"] == "machine-learning-model"
    (model,) = [each for each in bill["dependencies"] if each["ref"] == "pets"]
    assert sorted(model["dependsOn"]) == sorted(found)
