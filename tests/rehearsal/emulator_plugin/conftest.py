"""Tests of what runs inside LocalStack, whatever `--emulator` says."""

from tests.rehearsal.emulator.conftest import client, name

__all__ = ["client", "name"]
