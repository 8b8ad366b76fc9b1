"""Photos become a dataset: found, checked, measured, split, and named by their content."""
