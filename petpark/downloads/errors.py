"""How a download can end without an archive. None of these leaves anything that could be used by mistake."""

from petpark.errors import InstallFailed


class PublisherUnreachable(InstallFailed):
    """Nobody answered, or the connection broke more often than is worth another attempt."""


class ArchiveMissing(InstallFailed):
    """The server answered that it does not have the file, or does not serve it to us."""


class ArchiveRefused(InstallFailed):
    """What arrived is not what is pinned: another hash, unsafe or missing content, or a program that does not start."""


class NoSpace(InstallFailed):
    """The disk has no space for the archive and what it unpacks to."""


class FolderNotWritable(InstallFailed):
    """The folder for tools cannot be written."""


class PlatformUnsupported(InstallFailed):
    """The publisher has no archive for this operating system and processor that petpark was made for."""
