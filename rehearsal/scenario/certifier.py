"""What the certifier does: checks predictions, signs a version, and answers the pipeline that waits."""

from __future__ import annotations

from collections.abc import Sequence

from petpark.models import decisions, model_versions
from petpark.pipeline import certification
from registry.gates import open_gates
from rehearsal.environment import Environment
from rehearsal.report.steps import Steps
from rehearsal.scenario.application_test import HeldOut, accuracies, ask, held_out
from rehearsal.scenario.facts_so_far import FactsSoFar

_EXPLAINED = 24


class CertificateNotTaken(Exception):
    """A pipeline requested a decision and did not accept the answer."""


class Certifier:
    """Checks and certifies versions. `held_out`: photos outside all trainings, with which version 1 was tested."""

    def __init__(self, environment: Environment, steps: Steps, facts: FactsSoFar, *, most_held_out: int) -> None:
        self.held_out: Sequence[HeldOut] = ()
        self._environment = environment
        self._steps = steps
        self._facts = facts
        self._most_held_out = most_held_out

    def look_at_answers(self, version: int) -> None:
        """Check predictions as the certifier does before deciding."""
        with self._steps.step(f"check predictions of version {version}") as step:
            dataset = self._facts.now.dataset
            assert dataset is not None  # noqa: S101  ingestion comes first
            target = self._environment.target("test")
            photos = held_out(target, dataset.sha256, most=self._most_held_out)
            self.held_out = self.held_out or photos
            predictions = ask(
                self._environment.endpoints["test"],
                photos,
                explained=_EXPLAINED,
                progress=lambda done, of: step.progress(f"{done} of {of} unseen photos"),
            )
            accuracy, balanced = accuracies(predictions, sorted(dataset.labels))
            self._facts.note(predictions=predictions, accuracy=accuracy, balanced_accuracy=balanced)
            step.done(
                f"{accuracy.value:.1%} right of {accuracy.n} unseen photos "
                f"(95 % interval {accuracy.low:.1%} to {accuracy.high:.1%})"
            )

    def certify(self, version: int, *, pipeline: str = "") -> str:
        """Sign, then resume the `pipeline` that waits. Returns the signer's ARN. Raises `CertificateNotTaken`."""
        with self._steps.step(f"certify version {version}") as step:
            target = self._environment.target("test")
            certificate = decisions.certify(
                target,
                version,
                decision="certified",
                note="rehearsal: the application test passed",
                # The certificate names the gates that did not pass; the channel's rule decides about prod.
                despite=tuple(open_gates(model_versions.version(target, version).metrics)),
            )
            woken = [each.execution for each in certification.answer(target, certificate) if each.waited]
            if pipeline and pipeline not in woken:
                raise CertificateNotTaken(f"Pipeline {pipeline} did not accept the certificate of version {version}.")
            summary = f"signed, valid until {(certificate.expires_at or '')[:10]}"
            step.done(f"{summary}; the pipeline continues" if woken else summary, by=certificate.by)
        return certificate.by
