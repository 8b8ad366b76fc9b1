"""Running endpoints: which version each serves, API keys, experiments, camera agents."""
