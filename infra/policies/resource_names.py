"""The names and ARNs that policies refer to."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ResourceNames:
    """What policies refer to: a model's name, bucket names, and the ARNs of the two keys."""

    model: str
    model_store: str
    data_lake: str
    workspace: str
    encryption_key: str
    signing_key: str
