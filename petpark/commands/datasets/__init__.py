"""`petpark data`."""
