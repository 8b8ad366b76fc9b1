"""Versions, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.versions.test_catalog import *  # noqa: F403

pytestmark = pytest.mark.rehearsal
