"""A stack's configuration, read and validated, and what it costs."""
