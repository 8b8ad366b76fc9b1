"""HTTP: a module per group of routes, the middleware around them, and what reads requests within limits."""
