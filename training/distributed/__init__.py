"""Several processes that train one network: on one instance or on many."""
