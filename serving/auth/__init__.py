"""Who may call: records of API keys, the log that they are read from, their rates, and authentication."""
