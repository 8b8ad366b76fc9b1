"""Running endpoints: served versions, API keys, experiments, camera agents."""
