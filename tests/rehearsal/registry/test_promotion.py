"""The rules of channels, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.channels.test_promotion import *

pytestmark = pytest.mark.rehearsal
