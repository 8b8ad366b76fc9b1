"""Search over hyperparameters: studies, and what people see of them (`docs/design/search.md`)."""
