"""Certificates, over LocalStack: the same tests as over memory."""

import pytest

from tests.registry.certificates.test_certificate import *

pytestmark = pytest.mark.rehearsal
