"""Channels, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.channels.test_channel import *

pytestmark = pytest.mark.rehearsal
