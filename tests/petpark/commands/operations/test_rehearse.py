"""`petpark rehearse` before anything starts, and at its end."""

import threading
from pathlib import Path

import pytest

from petpark.commands.operations.rehearse import report_unless_at_exit
from rehearsal.scenario import forecast
from rehearsal.scenario.growing_dataset import LEAST, count, early
from rehearsal.scenario.scenario_options import ScenarioOptions
from tests.petpark.conftest import Run
from training.dataset.sources import Candidate, FolderSource
from training.hyper_parameters import FOR_TRANSFER


@pytest.mark.parametrize("folders", [[], ["cat"], ["cat", "empty"]])
def test_photos_that_no_classifier_can_learn_from_are_refused_before_anything_starts(
    run: Run, tmp_path: Path, folders: list[str]
) -> None:
    for folder in folders:
        (tmp_path / "photos" / folder).mkdir(parents=True)
    if "cat" in folders:
        (tmp_path / "photos" / "cat" / "one.jpg").write_bytes(b"photo")
    said = run("rehearse", "--photos", str(tmp_path / "photos"), "--directory", str(tmp_path / "r"))
    assert said.exit_code == 2
    assert said.stderr.startswith("PhotosMissing: ")
    assert "Next: " in said.stderr
    assert not (tmp_path / "r").exists()


def folder(directory: Path, **files: int) -> Path:
    """Files that are called photos."""
    for label, wanted in files.items():
        for number in range(wanted):
            path = directory / label / ("deep" if number % 3 else "") / f"{number:03d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"%d" % number)
    return directory


def test_too_few_photos_of_a_class_are_refused_before_anything_starts(run: Run, tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", cat=6, dog=2)
    said = run("rehearse", "--photos", str(photos), "--directory", str(tmp_path / "r"))
    assert said.exit_code == 2
    assert "too few photos of some classes (dog 2); each needs 6 at least" in said.stderr
    assert not (tmp_path / "r").exists()


def test_settings_that_change_nothing_are_refused_before_anything_starts(run: Run, tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", cat=6, dog=6)
    said = run("rehearse", "--photos", str(photos), "--set", "epochs=9", "--directory", str(tmp_path / "r"))
    assert (said.exit_code, said.stderr.startswith("SpecMalformed: epochs changes nothing")) == (2, True)
    assert not (tmp_path / "r").exists()


def test_a_folder_with_enough_photos_is_half_at_first_and_every_class_with_it(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", cat=LEAST, dog=LEAST + 7)
    script = ScenarioOptions.of_photos(photos)
    assert (script.base, script.grows, script.second_recipe) == ("transfer", True, ())
    assert script.parameters(1) == script.parameters(2) == FOR_TRANSFER
    first = early(photos, tmp_path / "first")
    assert count(first) == {"cat": LEAST // 2, "dog": (LEAST + 8) // 2}
    read = {key.key: key.read() for key in FolderSource(first) if isinstance(key, Candidate)}
    assert all((photos / key).read_bytes() == data for key, data in read.items())


def test_the_second_version_of_few_photos_is_a_larger_network_and_not_the_same_layer_again(tmp_path: Path) -> None:
    script = ScenarioOptions.of_photos(folder(tmp_path / "photos", cat=LEAST - 1, dog=LEAST))
    assert not script.grows
    first, second = script.parameters(1), script.parameters(2)
    assert (first.architecture, second.architecture) == ("efficientnet_lite0", "efficientnet_lite2")


def test_photos_trained_from_scratch_go_on_from_the_first_weights_gently(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", cat=LEAST, dog=LEAST)
    script = ScenarioOptions.of_photos(photos, "few-photos", ("epochs=9",))
    assert (script.grows, script.parameters(1).epochs, script.parameters(2).epochs) == (False, 9, 1)
    drawn = ScenarioOptions()
    assert (drawn.grows, drawn.parameters(2).learning_rate) == (False, 0.0001)


def test_a_rehearsal_first_says_how_long_it_will_take(tmp_path: Path) -> None:
    many = ScenarioOptions.of_photos(folder(tmp_path / "many", cat=LEAST, dog=LEAST))
    assert f"{2 * LEAST} photos: about " in forecast.sentence(many)
    assert "a linear layer on a network pretrained on ImageNet: half of them, then all" in forecast.sentence(many)
    few = ScenarioOptions.of_photos(folder(tmp_path / "few", cat=6, dog=6), "few-photos")
    assert "from scratch by recipe few-photos: all of them, twice" in forecast.sentence(few)
    assert forecast.seconds(few) < forecast.seconds(many)
    assert "600 generated photos: about " in forecast.sentence(ScenarioOptions(photo_count=600))


def test_ending_a_rehearsal_that_does_not_run_says_so(run: Run, tmp_path: Path) -> None:
    said = run("rehearse", "down", "--directory", str(tmp_path / "r"))
    assert (said.exit_code, "No rehearsal is running" in said.stdout) == (0, True)


def test_a_rehearsal_by_pulumi_without_it_says_both_ways_out_before_anything_starts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    said = run("rehearse", "--engine", "pulumi", "--directory", str(tmp_path / "r"))
    assert said.exit_code == 2
    assert said.stderr.startswith("PulumiMissing: ")
    assert "--engine embedded" in said.stderr
    assert not (tmp_path / "r").exists()


def end_of(error: Exception) -> threading.ExceptHookArgs:
    return threading.ExceptHookArgs((type(error), error, None, threading.current_thread()))


def test_a_deployment_that_is_left_behind_says_nothing_of_the_end_of_the_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report_unless_at_exit(end_of(RuntimeError("cannot schedule new futures after shutdown")))
    assert capsys.readouterr().err == ""
    report_unless_at_exit(end_of(RuntimeError("something else")))
    assert "RuntimeError: something else" in capsys.readouterr().err
