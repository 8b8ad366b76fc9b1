"""Both stacks as they are deployed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.infra.conftest import Deployment, deploy, write_checkout


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout to bundle whose files never change, so that golden pages do not."""
    return write_checkout(tmp_path_factory.mktemp("code"))


@pytest.fixture(scope="session")
def now(code: Path) -> Mapping[str, Deployment]:
    """Both stacks as they are deployed."""
    test = deploy("test", code, {})
    return {"test": test, "prod": deploy("prod", code, {"test": test})}
