"""What every object store must do, over LocalStack: the same tests as over memory and moto."""

import pytest

from tests.registry.store.test_object_store import *

pytestmark = pytest.mark.rehearsal

del new_store  # noqa: F821  # pyright: ignore[reportUndefinedVariable] - the suite's own: this folder has another
