"""What a model was made with: the environment's packages as a software bill of materials (CycloneDX 1.6, JSON)."""

from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final, cast

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from training.networks.pretrained import PackagedWeights

_LONGEST_LICENSE: Final = 200

# The library's decorators hide its classes' own types from a type checker.
_Bom, _Component = cast("Any", Bom), cast("Any", Component)
_License, _Hash = cast("Any", DisjunctiveLicense), cast("Any", HashType)


def write_sbom(
    path: Path,
    *,
    model: str,
    job: str,
    packages: Iterable[Distribution] | None = None,
    weights: PackagedWeights | None = None,
) -> None:
    """Write every installed package with version, package URL and license, as needed by the model of `job`.

    `weights` are those that it began with, with the hash of their file.
    """
    root = _Component(name=model, version=job, type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref=model)
    bom = _Bom()
    bom.metadata.component = root
    found = {package.name.lower(): package for package in (distributions() if packages is None else packages)}
    components = [_component(found[name]) for name in sorted(found)]
    if weights:
        components.append(_weights(weights))
    bom.components.update(components)
    bom.register_dependency(root, components)
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    path.write_text(outputter.output_as_string(indent=1), encoding="utf-8")


def _weights(weights: PackagedWeights) -> Any:
    return _Component(
        name=Path(weights.file).name,
        version=weights.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"weights:{weights.sha256}",
        description=weights.sentence,
        hashes=[_Hash(alg=HashAlgorithm.SHA_256, content=weights.sha256)],
        licenses=[_License(name=weights.licence)],
    )


def _component(package: Distribution) -> Any:
    stated = package.metadata.get("License-Expression") or package.metadata.get("License") or ""
    purl = PackageURL(type="pypi", name=package.name.lower(), version=package.version)
    return _Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        # Some packages put the license's whole text there; its name is all that belongs here.
        licenses=[_License(name=stated)] if stated and len(stated) <= _LONGEST_LICENSE else (),
    )
