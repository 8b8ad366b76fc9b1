"""Training, validation and test splits: assignment, balance, leakage."""
