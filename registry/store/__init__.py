"""Object stores: the protocol, its implementations on S3 and in memory, and transfers."""
