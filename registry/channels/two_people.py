"""Two people must act on a version: checked when a channel is moved, and again by every endpoint that follows it.

Pure: signed records in, an outcome out.
"""

from collections.abc import Mapping, Sequence

from registry.certificates.certificate import Certificate
from registry.errors import SamePerson, SelfCertified
from registry.identity import TRAINERS, same_hands


def refuse_trainer(title: str, lineage: Mapping[str, str], *, by: str) -> None:
    """SelfCertified if `by` made or requested the version."""
    for role in TRAINERS:
        trainer = lineage.get(role)
        if trainer is not None and same_hands(trainer, by):
            raise SelfCertified(title, by=by, trained_by=trainer)


def refuse_same_person(channel: str, title: str, *, certificates: Sequence[Certificate], by: str) -> None:
    """SamePerson unless a person other than `by` signed one of `certificates`, which are valid or were renewed.

    A certificate that its mover renews later does not undo what two people did.
    """
    if certificates and all(same_hands(certificate.by, by) for certificate in certificates):
        raise SamePerson(channel, title, by=by, certified_by=certificates[0].by)
