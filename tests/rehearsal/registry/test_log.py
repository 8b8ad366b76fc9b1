"""Numbered logs, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.logs.test_log import *  # noqa: F403

pytestmark = pytest.mark.rehearsal
