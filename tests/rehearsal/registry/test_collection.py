"""The collector, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.test_garbage_collection import *  # noqa: F403

pytestmark = pytest.mark.rehearsal
