"""The training loop: photos as batches, augmentation, optimisers, checkpoints."""
