"""The quality of a dataset, as a report."""
