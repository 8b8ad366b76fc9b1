"""Channels, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.channels.test_channel import *  # noqa: F403

pytestmark = pytest.mark.rehearsal
