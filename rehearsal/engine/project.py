"""The project as Pulumi reads it: `Pulumi.yaml`, and a stack's configuration from `Pulumi.<stack>.yaml`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from registry.strict_yaml import place
from registry.strict_yaml import read_yaml as read_strictly
from rehearsal.engine.errors import ConfigurationRefused


@dataclass(frozen=True)
class Secret:
    """A configuration value that must never be shown, not even by `repr`."""

    value: str = field(repr=False)


type Setting = str | bool | int | float | Secret | Mapping[str, Any] | list[Any]


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """A stack's configuration with every key in full (`project:key`) and every value as the SDK wants it: text."""

    values: Mapping[str, str]
    secret_keys: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Project:
    """A Pulumi project on disk."""

    name: str
    directory: Path
    program: Path

    @classmethod
    def read(cls, directory: Path) -> Project:
        """The project in `directory`; raises `ConfigurationRefused` if there is none that the engine can run."""
        file = directory / "Pulumi.yaml"
        content = read_yaml(file)
        name, runtime = content.get("name"), content.get("runtime")
        language = runtime.get("name") if isinstance(runtime, dict) else runtime
        if not isinstance(name, str) or language != "python":
            raise ConfigurationRefused(f"{file} must give a name, and python as its runtime.")
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
        values: dict[str, str] = {}
        secret_keys: set[str] = set()
        for layer in (cast("Mapping[str, Setting]", block or {}), *layers):
            for key, setting in layer.items():
                full = key if ":" in key else f"{self.name}:{key}"
                secret_keys.discard(full)
                if isinstance(setting, Secret):
                    secret_keys.add(full)
                values[full] = _text(full, setting)
        return StackConfig(values=values, secret_keys=frozenset(secret_keys))


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
        raise ConfigurationRefused(f"{file} must hold a map.")
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
