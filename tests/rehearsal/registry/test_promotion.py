"""The rules of channels, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.channels.conftest import park as park
from tests.registry.channels.test_promotion import *
from tests.registry.channels.test_promotion_people import *

pytestmark = pytest.mark.rehearsal
