"""The project and a stack's configuration, as Pulumi reads them; what of it the provider gets: loopback only."""

import ipaddress
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import yaml

from registry.strict_yaml import place
from registry.strict_yaml import read_yaml as read_strictly
from rehearsal.engine.errors import ConfigurationRefused, EmulatorMissing, EndpointRefused
from rehearsal.engine.values import Fields

_CONNECT_SECONDS = 5.0
_WAY_OUT = "Real accounts are deployed by the Pulumi CLI (`pulumi up`); rehearsals set aws:endpoints to a loopback URL."

# Five attempts: a busy machine cuts off an answer now and then, and the provider's default of 25 means minutes of
# silence over an emulator's "not implemented".
_REHEARSED: Final[Fields] = {
    "maxRetries": 5,
    "s3UsePathStyle": True,
    "skipCredentialsValidation": True,
    "skipMetadataApiCheck": True,
    "skipRegionValidation": True,
}
# Keys that reach for credentials or services outside the emulator.
_REFUSED: Final = frozenset(
    {
        "profile",
        "sharedConfigFiles",
        "sharedCredentialsFiles",
        "assumeRoles",
        "assumeRoleWithWebIdentity",
        "httpProxy",
        "httpsProxy",
        "ec2MetadataServiceEndpoint",
    }
)


@dataclass(frozen=True)
class Secret:
    """A configuration value that must never be shown, not even by `repr`."""

    value: str = field(repr=False)


type Setting = str | bool | int | float | Secret | Mapping[str, Any] | list[Any]


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """A stack's configuration with complete keys (`project:key`) and values in the SDK's form: text."""

    values: Mapping[str, str]
    secret_keys: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Project:
    """A Pulumi project on disk."""

    name: str
    directory: Path
    program: Path

    @classmethod
    def read(cls, directory: Path) -> "Project":
        """The project in `directory`; raises `ConfigurationRefused` if there is none that the engine can run."""
        file = directory / "Pulumi.yaml"
        content = read_yaml(file)
        name, runtime = content.get("name"), content.get("runtime")
        language = runtime.get("name") if isinstance(runtime, dict) else runtime
        if not isinstance(name, str) or language != "python":
            raise ConfigurationRefused(f"{file} must have a name, and python as its runtime.")
        program = directory / str(content.get("main", "."))
        program = program / "__main__.py" if program.is_dir() else program
        if not program.is_file():
            raise ConfigurationRefused(f"{file} leads to no program: {program} does not exist.")
        return cls(name=name, directory=directory, program=program)

    def config(self, stack: str, *layers: Mapping[str, Setting]) -> StackConfig:
        """The configuration of `stack`: its file if there is one, then `layers`, later ones winning."""
        file = self.directory / f"Pulumi.{stack}.yaml"
        block = read_yaml(file).get("config") if file.is_file() else None
        if block is not None and not isinstance(block, dict):
            raise ConfigurationRefused(f"{file}: config must be a map of keys to values.")
        settings: dict[str, Setting] = {}
        for layer in (cast("Mapping[str, Setting]", block or {}), *layers):
            settings |= {key if ":" in key else f"{self.name}:{key}": setting for key, setting in layer.items()}
        return StackConfig(
            values={key: _text(key, setting) for key, setting in settings.items()},
            secret_keys=frozenset(key for key, setting in settings.items() if isinstance(setting, Secret)),
        )


def read_yaml(file: Path) -> dict[str, Any]:
    """The map in a YAML file; raises `ConfigurationRefused` when there is none."""
    try:
        content = read_strictly(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationRefused(f"{file} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ConfigurationRefused(f"{file} is not YAML: {place(error)}.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationRefused(f"{file} must be a map.")
    return content


def _text(key: str, setting: Setting) -> str:
    match setting:
        case Secret():
            return setting.value
        case str():
            return setting
        case bool():
            return "true" if setting else "false"
        case int() | float():
            return str(setting)
        case _:
            if isinstance(setting, Mapping) and set(setting) == {"secure"}:
                raise ConfigurationRefused(
                    f"The value of {key} is encrypted for the Pulumi CLI; give the rehearsal a value of its own "
                    f"(`--secret {key}=…`)."
                )
            # As the Pulumi CLI writes it.
            return json.dumps(setting, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def provider_properties(config: Mapping[str, str]) -> tuple[Fields, str]:
    """The provider's properties in `config` (the keys `aws:…`) and the one endpoint of all services.

    Raises `EndpointRefused` unless every endpoint is on this machine, `ConfigurationRefused` for keys that have no
    place in a rehearsal. Called before the provider starts.
    """
    properties = {**_REHEARSED}
    for key, text in config.items():
        if key.startswith("aws:"):
            properties[key.removeprefix("aws:")] = _parsed(text)
    if refused := sorted(_REFUSED & properties.keys()):
        raise ConfigurationRefused(
            f"aws:{refused[0]} has no place in a rehearsal: the provider sees no credentials but the emulator's."
        )
    endpoint = _endpoint(properties.pop("endpoints", None))
    if not isinstance(properties.get("region"), str):
        raise ConfigurationRefused("The stack's configuration must set aws:region.")
    return properties, endpoint


def _endpoint(given: Any) -> str:
    """The URL that all services share; a list (the official form) must name just one.

    A service that a list leaves out would go to the real AWS, so one URL stands for every service.
    """
    if given is None:
        raise EndpointRefused(
            "The configuration names no aws:endpoints, so the provider would talk to a real AWS account; the embedded "
            f"engine deploys to this machine only. {_WAY_OUT}"
        )
    entries = given if isinstance(given, list) else [given]
    urls: set[str] = set()
    for entry in entries:
        urls.update(map(str, entry.values()) if isinstance(entry, dict) else [str(entry)])
    for url in sorted(urls):
        require_loopback(url)
    if len(urls) != 1:
        raise EndpointRefused(
            "aws:endpoints must come down to one URL, which then serves every service; it names "
            f"{', '.join(sorted(urls)) or 'none'}."
        )
    return urls.pop()


def _parsed(text: str) -> Any:
    """A configuration text parsed as JSON if it is an object, a list or a boolean; otherwise unchanged."""
    if text[:1] in ("{", "[") or text in ("true", "false"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def require_loopback(url: str) -> None:
    """Return if `url` can only reach this machine; raise `EndpointRefused` otherwise.

    A name counts only when every address it resolves to is a loopback address at this moment.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointRefused(f"The endpoint {url!r} is not an http(s) URL. {_WAY_OUT}")
    if not all(address.is_loopback for address in _addresses(parts.hostname)):
        raise EndpointRefused(
            f"The embedded engine deploys to this machine only, and {parts.hostname} is not a loopback address. "
            f"{_WAY_OUT}"
        )


def require_answer(url: str) -> None:
    """Return if something listens at `url`; raise `EmulatorMissing` otherwise, before a provider retries for long."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise EmulatorMissing(f"Nothing answers at {url} ({error}); start the emulator first.") from error


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise EndpointRefused(f"The endpoint's host {host!r} cannot be resolved: {error}. {_WAY_OUT}") from error
    return [ipaddress.ip_address(str(address).split("%")[0]) for address in found]
