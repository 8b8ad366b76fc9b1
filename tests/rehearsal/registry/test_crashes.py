"""Every call as the one that fails, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.test_crashes import *  # noqa: F403

pytestmark = pytest.mark.rehearsal
