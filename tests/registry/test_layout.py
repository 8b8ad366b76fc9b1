"""Keys are a contract with what is stored already, and with the policies: each is written out here once."""

import inspect

import pytest

from registry import layout
from registry.layout import Prefix, Role

SHA256 = "ab" * 32

KEYS = {
    layout.code_key("test", SHA256): f"code/test/{SHA256}.zip",
    layout.code_prefix("test"): "code/test/",
    layout.job_prefix("j"): "jobs/j/",
    layout.job_spec_key("j"): "jobs/j/spec.json",
    layout.job_order_key("j"): "jobs/j/order.json",
    layout.boot_token_key("j", "j-r2.3"): "jobs/j/attempts/j-r2.3/boot.json",
    layout.job_launch_key("j", "j-r2.3"): "jobs/j/attempts/j-r2.3/launch.json",
    layout.run_token_key("j", "j-r2.3"): "jobs/j/attempts/j-r2.3/run.json",
    layout.stack_outputs_key("prod"): "stacks/prod.json",
    layout.pipeline_prefix("p"): "pipelines/p/",
    layout.certification_key("p"): "pipelines/p/certification.json",
    layout.spending_prefix("2026-11"): "spending/2026-11/",
    layout.job_result_key("j"): "jobs/j/result.json",
    layout.epochs_prefix("j"): "jobs/j/epochs/",
    layout.epoch_key("j", 12): "jobs/j/epochs/000012.json",
    layout.progress_prefix("j"): "jobs/j/progress/",
    layout.progress_key("j", 3, 128): "jobs/j/progress/03-00000128.json",
    layout.fallback_key("j"): "jobs/j/fallback.json",
    layout.machines_prefix("j"): "jobs/j/machines/",
    layout.machine_key("j", 2): "jobs/j/machines/000002.json",
    layout.checkpoints_prefix("j"): "jobs/j/checkpoints/",
    layout.checkpoint_key("j", 40): "jobs/j/checkpoints/000040.pt",
    layout.meeting_key("j", "r-1"): "jobs/j/meetings/r-1.json",
    layout.attempts_prefix("j"): "jobs/j/launches/",
    layout.attempt_key("j", "t", 1, "g5.xlarge", "eu-west-1a"): "jobs/j/launches/t/000001-g5.xlarge-eu-west-1a.json",
    layout.boot_logs_prefix("j"): "jobs/j/boots/",
    layout.boot_log_key("j", "i-1"): "jobs/j/boots/i-1.log",
    layout.validation_key("j"): "jobs/j/validation.json",
    layout.study_prefix("s"): "studies/s/",
    layout.study_key("s"): "studies/s/study.json",
    layout.study_weights_key("s"): "studies/s/initial.pt",
    layout.trial_job("s", 7): "s-000007",
    layout.launch_token("t", 8): "t-000008",
    layout.trials_prefix("s"): "studies/s/trials/",
    layout.trial_key("s", 7): "studies/s/trials/000007.json",
    layout.launches_prefix("s"): "studies/s/launches/",
    layout.launch_key("s", 8): "studies/s/launches/000008.json",
    layout.refused_prefix("s"): "studies/s/refused/",
    layout.refused_key("s", 8): "studies/s/refused/000008.json",
    layout.cancelled_key("s"): "studies/s/cancelled.json",
    layout.table_key("s"): "studies/s/table.json",
    layout.photo_key(SHA256): f"photos/sha256/{SHA256}",
    layout.manifest_key(SHA256): f"datasets/{SHA256}.jsonl",
    layout.changes_prefix("d"): "datasets/d.changes/",
    layout.change_key("d", SHA256): f"datasets/d.changes/{SHA256}.json",
    layout.events_prefix("gate", "2026-08-02"): "events/gate/2026-08-02/",
    layout.event_key("gate", "2026-08-02", "e"): "events/gate/2026-08-02/e.json",
    layout.event_picture_key("gate", "2026-08-02", "e"): "event-pictures/gate/2026-08-02/e.jpg",
    layout.attempts_of_job_prefix("j"): "jobs/j/attempts/",
    layout.ingestions_prefix("d"): "datasets/d.ingestions/",
    layout.ingestion_key("d", SHA256): f"datasets/d.ingestions/{SHA256}.json",
    layout.quality_prefix("d"): "datasets/d.quality/",
    layout.quality_key("d", 3, "html"): "datasets/d.quality/000003.html",
    layout.object_prefix("pets", Prefix.CHANNELS): "pets/channels/",
    layout.blob_key("pets", SHA256): f"pets/blobs/sha256/{SHA256}",
    layout.version_key("pets", 5): "pets/versions/00000005.json",
    layout.certificates_prefix("pets", 5): "pets/certificates/00000005/",
    layout.certificate_key("pets", 5, 2): "pets/certificates/00000005/00000002.json",
    layout.channel_prefix("pets", "prod"): "pets/channels/prod/",
    layout.move_key("pets", "prod", 9): "pets/channels/prod/00000009.json",
    layout.experiments_prefix("pets", "prod"): "pets/experiments/prod/",
    layout.experiment_key("pets", "prod", 1): "pets/experiments/prod/00000001.json",
    layout.repair_key("pets", 1): "pets/repairs/00000001.json",
    layout.api_keys_prefix("prod"): "api_keys/prod/",
    layout.api_keys_key("api_keys/prod/", 4): "api_keys/prod/00000004.json",
}


@pytest.mark.parametrize(("made", "stored"), KEYS.items())
def test_a_key_is_what_stores_hold(made: str, stored: str):
    assert made == stored


def test_every_key_is_written_out_here():
    kinds = ("_key", "_prefix", "_job", "_token")
    functions = [name for name, thing in vars(layout).items() if inspect.isfunction(thing) and name.endswith(kinds)]
    assert len(KEYS) == len(functions)


def test_each_role_creates_its_own_entries_and_nothing_beside():
    entry = "0???????.json"
    assert {role: layout.creates(role, "pets") for role in Role} == {
        Role.PUBLISHER: ("pets/blobs/sha256/*", f"pets/versions/{entry}"),
        Role.CERTIFIER: (f"pets/certificates/0???????/{entry}",),
        Role.PROMOTER: (f"pets/channels/*/{entry}", f"pets/experiments/*/{entry}", f"api_keys/*/{entry}"),
        Role.READER: (),
        Role.COLLECTOR: (),
        Role.REPAIRER: (f"pets/repairs/{entry}",),
    }


def test_promoter_and_reader_read_api_keys_and_only_the_collector_deletes_blobs():
    assert {role for role in Role if "api_keys/" in layout.reads(role, "pets")} == {Role.PROMOTER, Role.READER}
    assert all(layout.reads(role, "pets")[0] == "pets/" for role in Role)
    assert {role: layout.deletes(role, "pets") for role in Role if layout.deletes(role, "pets")} == {
        Role.COLLECTOR: ("pets/blobs/",)
    }
