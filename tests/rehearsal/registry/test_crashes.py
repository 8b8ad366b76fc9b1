"""Every call as the one that fails, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.test_crashes import *

pytestmark = pytest.mark.rehearsal
