"""API keys: records, their log, rate limits and authentication."""
