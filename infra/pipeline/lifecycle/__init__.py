"""The state machine `pipeline`: the stages of a model's life, and its certification by people."""
