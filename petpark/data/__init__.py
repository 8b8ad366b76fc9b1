"""Datasets in the data lake, and their quality reports."""
