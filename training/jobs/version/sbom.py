"""What a model was made with: the environment's packages as a software bill of materials (CycloneDX 1.6, JSON)."""

from collections.abc import Iterable, Sequence
from functools import cache
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
    components = [*(_installed() if packages is None else _components(packages))]
    if weights:
        components.append(_weights(weights))
    bom.components.update(components)
    bom.register_dependency(root, components)
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    path.write_text(outputter.output_as_string(indent=1), encoding="utf-8")


@cache
def _installed() -> Sequence[Any]:
    """Return what the environment holds, read once: a process does not change its packages."""
    return _components(distributions())


def _components(packages: Iterable[Distribution]) -> Sequence[Any]:
    """Return each package once, by its name without regard to case."""
    found = {component.name.lower(): component for component in map(_component, packages)}
    return tuple(found[name] for name in sorted(found))


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
    stated = package.metadata  # each access reads and parses the package's file again, as `name` and `version` do
    name, version = stated["Name"], stated["Version"]
    license_ = stated.get("License-Expression") or stated.get("License") or ""
    purl = PackageURL(type="pypi", name=name.lower(), version=version)
    return _Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        # Some packages put the license's whole text there; its name is all that belongs here.
        licenses=[_License(name=license_)] if license_ and len(license_) <= _LONGEST_LICENSE else (),
    )
