"""What all outcomes of the registry have in common. It imports nothing of ours, as all of this package."""


class RegistryError(Exception):
    """Base of all outcomes of the registry; `str()` is a sentence for people, `to_dict()` the same for programs."""

    def __init__(self, *, expected: str, actual: str, next: str) -> None:
        super().__init__(f"expected {expected}; found {actual}. {next}")
        self.expected = expected
        self.actual = actual
        self.next = next

    @property
    def outcome(self) -> str:
        """The name of the outcome."""
        return type(self).__name__

    def to_dict(self) -> dict[str, str]:
        """The same facts as JSON."""
        return {"outcome": self.outcome, "expected": self.expected, "actual": self.actual, "next": self.next}
