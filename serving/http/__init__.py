"""HTTP: a module per group of routes, the middleware around them, request limits, and the worker threads."""
