"""Keys in the workspace bucket: code bundles, stack outputs, pipelines, drift, studies; `jobs` has those of jobs."""

CODE = "code/"


def code_key(stack: str, sha256: str) -> str:
    """Key of the code bundle that `stack` runs; each stack uploads its own, named by its content."""
    return f"{code_prefix(stack)}{sha256}.zip"


def code_prefix(stack: str) -> str:
    """All code bundles of one stack."""
    return f"{CODE}{stack}/"


STACKS = "stacks/"
PIPELINES = "pipelines/"
SPENDING = "spending/"


def stack_outputs_key(stack: str) -> str:
    """A stack's outputs, for workers: they have no access to Pulumi's state."""
    return f"{STACKS}{stack}.json"


def pipeline_prefix(execution: str) -> str:
    """Everything that belongs to one execution of the pipeline, except its jobs."""
    return f"{PIPELINES}{execution}/"


def certification_key(execution: str) -> str:
    """The task token with which the pipeline waits for a certification, and what is to be certified."""
    return f"{pipeline_prefix(execution)}certification.json"


def spending_prefix(month: str) -> str:
    """What jobs of a month (YYYY-MM, UTC) reserved or cost."""
    return f"{SPENDING}{month}/"


MONITORING = "monitoring/"
"""Results of monitoring; each kind has its own prefix with a format version."""
DRIFT = f"{MONITORING}drift/v1/"


def drift_stack_prefix(stack: str) -> str:
    """All drift records of a stack's endpoint, in chronological order."""
    return f"{DRIFT}stack={stack}/"


def drift_day_prefix(stack: str, day: str) -> str:
    """The drift records of `day` (YYYY-MM-DD, UTC). The last one includes the hours of the others."""
    return f"{drift_stack_prefix(stack)}date={day}/"


def drift_key(stack: str, day: str, hours: int) -> str:
    """The drift record of the first `hours` (1 to 24) of `day`."""
    return f"{drift_day_prefix(stack, day)}{hours:02d}.json"


STUDIES = "studies/"


def study_prefix(study: str) -> str:
    """Everything that belongs to one study, except its trials' jobs."""
    return f"{STUDIES}{study}/"


def study_key(study: str) -> str:
    """The study's space and budget."""
    return f"{study_prefix(study)}study.json"


def study_weights_key(study: str) -> str:
    """Initial weights of all trials of a study."""
    return f"{study_prefix(study)}initial.pt"


def trial_job(study: str, trial: int) -> str:
    """Id of the job of one trial."""
    return f"{study}-{trial:06d}"


def trials_prefix(study: str) -> str:
    """The study's trials of the first rung."""
    return f"{study_prefix(study)}trials/"


def trial_key(study: str, trial: int) -> str:
    """The settings of one trial, counted from 1."""
    return f"{trials_prefix(study)}{trial:06d}.json"


def cancelled_key(study: str) -> str:
    """Who cancelled the study, and why: nothing of it is started after that."""
    return f"{study_prefix(study)}cancelled.json"


def table_key(study: str) -> str:
    """The study's result: all trials, metrics and costs."""
    return f"{study_prefix(study)}table.json"
