"""Commands that train: `train`, `jobs`, `runs`, `search`."""
