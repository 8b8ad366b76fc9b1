"""How a download can fail. None of these leaves anything that could be used by mistake."""

from petpark.errors import InstallFailed


class PublisherUnreachable(InstallFailed):
    """The server did not answer, or the connection broke too often."""


class ArchiveMissing(InstallFailed):
    """The server answered that it does not have the file, or refused to serve it."""


class ArchiveRefused(InstallFailed):
    """What arrived is not what is pinned: another hash, unsafe or missing content, or a program that does not start."""


class NoSpace(InstallFailed):
    """The disk has not enough space for the archive and what it unpacks to."""


class FolderNotWritable(InstallFailed):
    """The folder for tools cannot be written."""


class PlatformUnsupported(InstallFailed):
    """petpark knows no archive for this operating system and processor."""
