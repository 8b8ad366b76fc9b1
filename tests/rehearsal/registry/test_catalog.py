"""Versions, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.versions.test_catalog import *

pytestmark = pytest.mark.rehearsal
