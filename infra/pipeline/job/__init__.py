"""States of the state machine `job`, one module per phase."""
