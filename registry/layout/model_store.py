"""Keys in the model store: the registry of each model, and the API keys of endpoints."""

from enum import StrEnum


class Prefix(StrEnum):
    """The kinds of object in a model's registry; each has one writer."""

    BLOBS = "blobs"
    VERSIONS = "versions"
    CERTIFICATES = "certificates"
    CHANNELS = "channels"
    EXPERIMENTS = "experiments"
    REPAIRS = "repairs"


def object_prefix(model: str, kind: Prefix) -> str:
    """Prefix of all objects of one kind."""
    return f"{model}/{kind}/"


def blob_key(model: str, sha256: str) -> str:
    """A file of one or more versions, named by its content."""
    return f"{object_prefix(model, Prefix.BLOBS)}sha256/{sha256}"


def version_key(model: str, number: int) -> str:
    """The `number`-th version, counted from 1."""
    return f"{object_prefix(model, Prefix.VERSIONS)}{number:08d}.json"


def certificates_prefix(model: str, version: int) -> str:
    """The log of decisions about one version."""
    return f"{object_prefix(model, Prefix.CERTIFICATES)}{version:08d}/"


def certificate_key(model: str, version: int, number: int) -> str:
    """The `number`-th decision about a version, counted from 1."""
    return f"{certificates_prefix(model, version)}{number:08d}.json"


def channel_prefix(model: str, channel: str) -> str:
    """The log of a channel's entries."""
    return f"{object_prefix(model, Prefix.CHANNELS)}{channel}/"


def channel_entry_key(model: str, channel: str, number: int) -> str:
    """The `number`-th entry of a channel, counted from 1."""
    return f"{channel_prefix(model, channel)}{number:08d}.json"


def experiments_prefix(model: str, channel: str) -> str:
    """The log of a channel's experiments."""
    return f"{object_prefix(model, Prefix.EXPERIMENTS)}{channel}/"


def experiment_key(model: str, channel: str, number: int) -> str:
    """The `number`-th start or end of an experiment on a channel, counted from 1."""
    return f"{experiments_prefix(model, channel)}{number:08d}.json"


def repair_key(model: str, number: int) -> str:
    """The `number`-th declaration that an object is void, counted from 1."""
    return f"{object_prefix(model, Prefix.REPAIRS)}{number:08d}.json"


API_KEYS = "api_keys/"
"""Next to the registries of models, none of which can have such a name (`registry.encoding.NAME`)."""


def api_keys_prefix(stack: str) -> str:
    """The log of the API keys of a stack's endpoint; it holds hashes, never a key."""
    return f"{API_KEYS}{stack}/"


def api_keys_key(prefix: str, number: int) -> str:
    """The `number`-th state of such a log, counted from 1."""
    return f"{prefix}{number:08d}.json"
