"""What a dataset is worth: what a report on its quality says."""
