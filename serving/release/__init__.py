"""The served version: following the channel, admission of versions, the live version, experiments."""
