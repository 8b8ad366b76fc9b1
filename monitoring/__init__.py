"""Drift, accuracy without labels, and late labels, from recorded predictions. Pure; no clock."""
