"""fsck, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.maintenance.test_fsck import *

pytestmark = pytest.mark.rehearsal
