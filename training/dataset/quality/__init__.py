"""What a dataset is worth: whether it can be trained on at all, and what a report on its quality says."""

from training.dataset.quality.fitness import Quality, assess, refuse_unfit

__all__ = ["Quality", "assess", "refuse_unfit"]
