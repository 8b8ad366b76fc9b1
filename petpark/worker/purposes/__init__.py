"""The purposes of orders: a module for each, and the dispatch to its function."""
