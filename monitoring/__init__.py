"""Drift, accuracy without labels, late labels: numbers of recorded predictions in, findings out. Pure; no clock."""
