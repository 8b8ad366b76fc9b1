"""Training jobs: submitted, launched on instances, watched, resumed, cancelled."""
