"""The camera of a rehearsal: its stream, the agent that watches it, and what reached the data lake."""
