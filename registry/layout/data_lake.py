"""Keys in the data lake: photos, datasets, events of cameras, reports, labels."""

PHOTOS = "photos/"
DATASETS = "datasets/"


def photo_key(sha256: str) -> str:
    """A photo, named by its content."""
    return f"{PHOTOS}sha256/{sha256}"


def manifest_key(sha256: str) -> str:
    """A dataset manifest, named by its content."""
    return f"{DATASETS}{sha256}.jsonl"


def changes_prefix(dataset: str) -> str:
    """Records of a dataset's changes: who changed what, and why."""
    return f"{DATASETS}{dataset}.changes/"


def change_key(dataset: str, sha256: str) -> str:
    """Key of such a record, named by its content."""
    return f"{changes_prefix(dataset)}{sha256}.json"


EVENTS = "events/"
EVENT_PICTURES = "event-pictures/"
"""A separate prefix, so that pictures expire earlier than events."""


def events_prefix(camera: str, day: str) -> str:
    """All events of a camera on `day` (YYYY-MM-DD, UTC)."""
    return f"{EVENTS}{camera}/{day}/"


def event_key(camera: str, day: str, event: str) -> str:
    """One event, named by its random id."""
    return f"{events_prefix(camera, day)}{event}.json"


def event_picture_key(camera: str, day: str, event: str) -> str:
    """An event's thumbnail."""
    return f"{EVENT_PICTURES}{camera}/{day}/{event}.jpg"


def ingestions_prefix(dataset: str) -> str:
    """Records of the photos that ingestions skipped, and why."""
    return f"{DATASETS}{dataset}.ingestions/"


def ingestion_key(dataset: str, sha256: str) -> str:
    """Key of such a record, named by its content."""
    return f"{ingestions_prefix(dataset)}{sha256}.json"


def quality_prefix(dataset: str) -> str:
    """The reports on a dataset's quality, oldest first."""
    return f"{DATASETS}{dataset}.quality/"


def quality_key(dataset: str, number: int, kind: str) -> str:
    """The `number`-th report, counted from 1: for programs (`json`), or for people (`html`)."""
    return f"{quality_prefix(dataset)}{number:06d}.{kind}"


REPORTS = "reports/"
"""Reports on a stack's endpoint (docs/design/monthly-report.md)."""


def report_key(stack: str, kind: str, period: str, written_at: str) -> str:
    """One report of a kind (`monthly`, `monitoring`) on a period; `written_at` makes keys sort chronologically."""
    return f"{REPORTS}stack={stack}/{kind}/{period}/{written_at}.html"


LABELS = "labels/"
"""Samples of recorded predictions, and their labels (docs/design/labels.md)."""


def samples_prefix(stack: str) -> str:
    """All samples of a stack's recorded predictions. The format version increases when a field's meaning changes."""
    return f"{LABELS}v1/{stack}/"


def sample_key(stack: str, sample: str) -> str:
    """The photos of a sample."""
    return f"{samples_prefix(stack)}{sample}/sample.json"


def labellers_prefix(stack: str, sample: str) -> str:
    """The logs of the people who labelled a sample."""
    return f"{samples_prefix(stack)}{sample}/people/"


def labeller_prefix(stack: str, sample: str, person: str) -> str:
    """The log of one of them."""
    return f"{labellers_prefix(stack, sample)}{person}/"


def label_key(stack: str, sample: str, person: str, number: int) -> str:
    """The `number`-th record of a person, counted from 1."""
    return f"{labeller_prefix(stack, sample, person)}{number:08d}.json"
