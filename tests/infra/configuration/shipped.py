"""A shipped stack's settings as text, with changes, and read."""

from infra.configuration.settings import StackSettings, read
from tests.infra.conftest import configuration


def as_text(stack: str = "test", **changes: str | None) -> dict[str, str]:
    text = {key.removeprefix("petpark:"): value for key, value in configuration(stack).items()}
    return {key: value for key, value in {**text, **changes}.items() if value is not None}


def parse(values: dict[str, str], region: str | None = "eu-west-1") -> StackSettings:
    return read(values.get, region=region, namespace="petpark")
