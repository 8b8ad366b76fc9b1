"""What happens in a rehearsal: from a folder of photos to a certified model in production."""
