"""What exists in the cloud: one component per part, and the pure decisions behind them."""
