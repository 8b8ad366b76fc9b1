"""What runs inside a rehearsed instance. Standard library only: it starts in milliseconds, in any environment."""
