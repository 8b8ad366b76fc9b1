"""A training job from its specification to a published version."""
