"""The characteristics of a dataset's quality, a module each."""
