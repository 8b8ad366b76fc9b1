"""Tests of code that runs inside LocalStack, for any `--emulator`."""

from tests.rehearsal.emulator.conftest import client, name

__all__ = ["client", "name"]
