"""Photos to dataset to model to report to version."""
