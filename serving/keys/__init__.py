"""Who may call: records of API keys, where they are read from, how often each may ask, and the door that asks."""
