"""The provider's configuration: the stack's `aws:*` keys over what every rehearsal needs, loopback only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from rehearsal.engine import sdk
from rehearsal.engine.encode import Encoder
from rehearsal.engine.errors import ConfigurationRefused, EndpointRefused
from rehearsal.engine.loopback import refuse_missing, require_loopback
from rehearsal.engine.schema import Block
from rehearsal.engine.values import Fields

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


def read(config: Mapping[str, str]) -> tuple[Fields, str]:
    """The provider's properties in `config` and the one endpoint of all services.

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
        raise ConfigurationRefused("The stack's configuration must give aws:region.")
    return properties, endpoint


def fields(block: Block, properties: Mapping[str, Any], endpoint: str) -> Fields:
    """The provider's configuration as its schema wants it: every service at `endpoint`."""
    encoder = Encoder(label="The provider's configuration (aws:…)", spelled={}, materialise=_no_asset)
    config = encoder.block(block, sdk.provider(), properties)
    services = block.blocks["endpoints"].block.attributes
    config["endpoints"] = [dict.fromkeys(services, endpoint)]
    return config


def _endpoint(given: Any) -> str:
    """The URL that all services share; a list (the official form) must name just one.

    A service that a list leaves out would go to the real AWS, so one URL stands for every service.
    """
    if given is None:
        raise refuse_missing()
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
    """A configuration text as JSON where it is an object, a list or a boolean; otherwise as it is."""
    if text[:1] in ("{", "[") or text in ("true", "false"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _no_asset(asset: Mapping[str, Any]) -> str:
    raise ConfigurationRefused(f"The provider's configuration takes no asset: {sorted(asset)}.")
