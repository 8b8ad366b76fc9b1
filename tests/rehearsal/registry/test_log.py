"""Numbered logs, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.logs.test_log import *

pytestmark = pytest.mark.rehearsal
