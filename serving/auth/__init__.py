"""API keys: records, the log that they are read from, rate limits, and authentication."""
