"""EC2 instances: what all have in common, training instances, user data, and the code that they run."""
