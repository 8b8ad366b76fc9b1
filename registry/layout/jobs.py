"""What belongs to one job: the tags of its instances, and its objects in the workspace."""

JOB_TAG = "petpark:job"
"""Tag of a training instance: the id of the job that it runs."""

ATTEMPT_TAG = "petpark:attempt"
"""Tag of a job's instance: its attempt at the job, `<name of the job's execution>.<number>`."""

EXECUTION_TAG = "petpark:execution"
"""Tag of a job's instance: ARN of the execution that waits for it."""

DEADLINE_TAG = "petpark:deadline"
"""Tag of a job's instance: Unix time in seconds after which the janitor terminates it."""


JOBS = "jobs/"


def job_prefix(job: str) -> str:
    """Everything that belongs to one job."""
    return f"{JOBS}{job}/"


def job_spec_key(job: str) -> str:
    """The job's spec."""
    return f"{job_prefix(job)}spec.json"


def job_order_key(job: str) -> str:
    """What the job is for: its purpose and inputs, as the starter of the job wrote them."""
    return f"{job_prefix(job)}order.json"


def attempts_of_job_prefix(job: str) -> str:
    """Tokens and launches of the job's attempts."""
    return f"{job_prefix(job)}attempts/"


def boot_token_key(job: str, attempt: str) -> str:
    """The task token that a worker answers when it has started: `docs/design/pipeline.md`."""
    return f"{job_prefix(job)}attempts/{attempt}/boot.json"


def job_launch_key(job: str, attempt: str) -> str:
    """What EC2 Fleet answered to one attempt: instances, and errors."""
    return f"{job_prefix(job)}attempts/{attempt}/launch.json"


def run_token_key(job: str, attempt: str) -> str:
    """The task token that a worker answers when the job has ended."""
    return f"{job_prefix(job)}attempts/{attempt}/run.json"


def job_result_key(job: str) -> str:
    """The job's result."""
    return f"{job_prefix(job)}result.json"


def epochs_prefix(job: str) -> str:
    """The job's metrics, one object per epoch."""
    return f"{job_prefix(job)}epochs/"


def epoch_key(job: str, epoch: int) -> str:
    """Metrics of one epoch, counted from 1."""
    return f"{epochs_prefix(job)}{epoch:06d}.json"


def progress_prefix(job: str) -> str:
    """Progress of stages other than epochs."""
    return f"{job_prefix(job)}progress/"


def progress_key(job: str, stage: int, done: int) -> str:
    """Key of one such record: stage, counted from 0, and amount done, so that keys sort chronologically."""
    return f"{progress_prefix(job)}{stage:02d}-{done:08d}.json"


def fallback_key(job: str) -> str:
    """Why the job trains with other settings than requested; a resumed job does the same."""
    return f"{job_prefix(job)}fallback.json"


def machines_prefix(job: str) -> str:
    """The machines that ran the job, in the order in which they started."""
    return f"{job_prefix(job)}machines/"


def machine_key(job: str, number: int) -> str:
    """The description of one machine, counted from 1."""
    return f"{machines_prefix(job)}{number:06d}.json"


def checkpoints_prefix(job: str) -> str:
    """The job's checkpoints, ascending by step."""
    return f"{job_prefix(job)}checkpoints/"


def checkpoint_key(job: str, step: int) -> str:
    """One checkpoint, counted from 1."""
    return f"{checkpoints_prefix(job)}{step:06d}.pt"


def rendezvous_key(job: str, launch: str) -> str:
    """The address at which the first of several instances that were launched together listens to the others."""
    return f"{job_prefix(job)}meetings/{launch}.json"


def member_key(job: str, launch: str, index: int) -> str:
    """The address of one of the others, counted from 1."""
    return f"{job_prefix(job)}members/{launch}/{index:06d}.json"


BOOTS = "boots/"


def boot_logs_prefix(job: str) -> str:
    """The boot logs of instances that failed."""
    return f"{job_prefix(job)}{BOOTS}"


def boot_log_key(job: str, instance: str) -> str:
    """The boot log of one of them."""
    return f"{boot_logs_prefix(job)}{instance}.log"


def validation_key(job: str) -> str:
    """What the job of a study's trial answered on the validation photos."""
    return f"{job_prefix(job)}validation.json"
