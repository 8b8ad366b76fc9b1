"""fsck, garbage collection, repairs, and checks of the bucket's settings."""
