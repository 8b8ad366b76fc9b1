"""The rules of channels, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.channels.test_promotion import *  # noqa: F403

pytestmark = pytest.mark.rehearsal
