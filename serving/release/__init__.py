"""What this process serves: following the channel, admission of versions, the live version, experiments."""
