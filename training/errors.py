"""Errors of training. Each says what was expected, what was found, and what to do next."""


class TrainingError(Exception):
    """Base of all; `type(error).__name__` is what a job's result carries as `error`."""


class DatasetRefused(TrainingError):
    """These photos cannot become a dataset, or this dataset no model."""


class PhotosUnreachable(TrainingError):
    """A public set of photos cannot be fetched from this machine."""


class SplitsLeak(TrainingError):
    """Photos in different splits look the same, so that a test would promise too much."""


class PhotoUnknown(TrainingError):
    """A dataset has no photo of this name."""


class NothingToChange(TrainingError):
    """A change of a dataset would not change it, or has no reason."""


class DatasetMissing(TrainingError):
    """No dataset, or more than one, has this name."""


class ManifestMalformed(TrainingError):
    """A manifest's bytes are not what their name promises."""


class PhotoLost(TrainingError):
    """A photo of the dataset is missing in the data lake, or its bytes changed."""


class JobMissing(TrainingError):
    """No job has this id."""


class JobExists(TrainingError):
    """Another job has this id."""


class JobCancelled(TrainingError):
    """Somebody ended the job on purpose while it ran."""


class SpecMalformed(TrainingError):
    """A job's description, or a record of it, cannot be read."""


class WeightsRefused(TrainingError):
    """The initial weights do not fit the model, or are not there."""


class LossNotFinite(TrainingError):
    """Training diverged."""


class OutOfMemory(TrainingError):
    """The machine or the accelerator is too small for these parameters."""


class TookTooLong(TrainingError):
    """The job used up the time that it was given."""


class ExportDiffers(TrainingError):
    """The exported model does not answer as the trained one does."""


class Interrupted(TrainingError):
    """The machine is being taken away; a checkpoint was written and another machine can go on."""


class AcceleratorLost(Interrupted):
    """The GPU failed or disappeared. Another machine continues from the last checkpoint, as after any interruption."""
