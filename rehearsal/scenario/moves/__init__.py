"""Moves of channels in a rehearsal, and the requests that go on meanwhile."""
