"""A stack's settings from its YAML, read without the Pulumi CLI."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from registry.strict_yaml import place, read_yaml

if TYPE_CHECKING:
    from infra.configuration.settings import StackSettings

_PROJECT = "petpark"


class SettingsUnusable(Exception):
    """There is no `Pulumi.<stack>.yaml`, or its values cannot be used; the message says which."""


def read_stack(root: Path, stack: str) -> "StackSettings":
    """What `Pulumi.<stack>.yaml` below `root` says. Raises `SettingsUnusable`."""
    from infra.configuration.settings import SettingsInvalid, read

    config = _config(root, stack)

    def get(key: str) -> str | None:
        return as_text(config.get(f"{_PROJECT}:{key}"))

    try:
        return read(get, region=as_text(config.get("aws:region")), namespace=_PROJECT)
    except SettingsInvalid as error:
        raise SettingsUnusable(str(error)) from None


def default_tags(root: Path, stack: str) -> Mapping[str, str]:
    """The tags that the stack's provider gives to everything that it makes. Raises `SettingsUnusable`."""
    found = _config(root, stack).get("aws:defaultTags") or {}
    tags = found.get("tags") if isinstance(found, dict) else None
    if not isinstance(tags, dict):
        raise SettingsUnusable(f"Pulumi.{stack}.yaml has no tags in aws:defaultTags")
    return {str(key): str(value) for key, value in tags.items()}


def _config(root: Path, stack: str) -> dict[str, Any]:
    path = root / f"Pulumi.{stack}.yaml"
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsUnusable(
            f"{path} does not exist; `pulumi stack init {stack}` needs it in the same folder"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsUnusable(f"{path} holds no settings: {place(error)}") from None
    except OSError as error:
        raise SettingsUnusable(f"{path} cannot be read: {error.strerror}") from None
    config: Any = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise SettingsUnusable(f"{path} holds no settings: it has no map named `config`")
    return config


def as_text(value: Any) -> str | None:
    """As Pulumi hands values to a program: everything is text, and what has parts is JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)
