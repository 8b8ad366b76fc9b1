"""Names, files and versions that are not what they should be."""

from registry.errors.base import RegistryError


class NameRefused(RegistryError):
    """A model or channel name that cannot be a part of a key."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            expected=f"a {kind} name of 1 to 63 lower-case letters, digits and hyphens",
            actual=repr(name),
            next="Choose another name.",
        )


class FileNameRefused(RegistryError):
    """A file name that could leave its directory, or that two systems could read differently."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            expected="a relative file name with '/' between parts, in Unicode's composed form (NFC)",
            actual=f"{name!r}: {reason}",
            next="Rename the file.",
        )


class FileMissing(RegistryError):
    """A file to be published is not there, or not a file."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(expected=f"file {name} at {path}", actual="not a regular file", next="Check the path.")


class FileChanged(RegistryError):
    """A file changed between being hashed and being sent. Nothing was published."""

    def __init__(self, path: str, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"{path} with sha256 {expected}",
            actual=f"sha256 {actual} while it was sent",
            next="Wait until nothing writes the file any more, then publish again.",
        )


class FileCorrupted(RegistryError):
    """The store has other bytes than the version names."""

    def __init__(self, name: str, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"file {name} with {expected}",
            actual=actual,
            next="Do not use this version. Restore the object's first revision (the bucket keeps them), "
            "or publish again from the training run.",
        )
        self.name = name


class FileForgotten(RegistryError):
    """A file's bytes are in the store, but unused for so long that the collector may remove them at any moment."""

    def __init__(self, name: str, key: str) -> None:
        super().__init__(
            expected=f"file {name} as a new object, or as one that some version uses",
            actual=f"{key}, left behind by a publish that never ended, and old enough to be collected",
            next="Nothing was published. Run `petpark models gc`, then publish again (a training: resume it).",
        )


class VersionMissing(RegistryError):
    """No version has this number."""

    def __init__(self, model: str, number: int) -> None:
        super().__init__(
            expected=f"version {number} of {model}",
            actual="no such version",
            next="`petpark models list` shows those that exist.",
        )


class DigestMismatch(RegistryError):
    """A version is not the expected one."""

    def __init__(self, what: str, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"{what} with digest {expected}",
            actual=f"digest {actual}",
            next="Somebody replaced an object: keep serving what you have, and compare the bucket's object versions.",
        )


class NumberTaken(RegistryError):
    """Another version was published under the number that this one names in its files. Nothing was published."""

    def __init__(self, model: str, number: int) -> None:
        super().__init__(
            expected=f"number {number} of model {model} to be free",
            actual="another version has it",
            next="Publish again under the next number.",
        )
