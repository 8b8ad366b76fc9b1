"""Where photos come from: a folder, a bucket's prefix, an archive. Each is read once, in one pass."""

from training.dataset.sources.archive import ArchiveSource, StoredArchiveSource
from training.dataset.sources.folder import FolderSource
from training.dataset.sources.prefix import PrefixSource
from training.dataset.sources.source import Candidate, SkippedFile, Source, Unreadable

__all__ = [
    "ArchiveSource",
    "Candidate",
    "FolderSource",
    "PrefixSource",
    "SkippedFile",
    "Source",
    "StoredArchiveSource",
    "Unreadable",
]
