"""The collector, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.maintenance.test_garbage_collection import *

pytestmark = pytest.mark.rehearsal
