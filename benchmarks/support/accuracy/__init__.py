"""Trainings of ours and of the reference, on the same photos."""
