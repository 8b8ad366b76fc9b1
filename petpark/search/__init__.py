"""Hyperparameter search: studies and their results (`docs/design/search.md`)."""
