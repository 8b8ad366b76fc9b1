"""HTTP: a module per group of routes, the middleware, request limits, and the worker threads."""
