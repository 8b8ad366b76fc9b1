"""Keys are a contract with what is stored already, and with the policies: each is written out here once."""

import inspect

import pytest

from registry.layout import data_lake, jobs, model_store, workspace
from registry.layout.data_lake import (
    change_key,
    changes_prefix,
    event_key,
    event_picture_key,
    events_prefix,
    ingestion_key,
    ingestions_prefix,
    label_key,
    labeller_prefix,
    labellers_prefix,
    manifest_key,
    photo_key,
    quality_key,
    quality_prefix,
    report_key,
    sample_key,
    samples_prefix,
)
from registry.layout.jobs import (
    attempts_of_job_prefix,
    boot_log_key,
    boot_logs_prefix,
    boot_token_key,
    checkpoint_key,
    checkpoints_prefix,
    epoch_key,
    epochs_prefix,
    fallback_key,
    job_launch_key,
    job_order_key,
    job_prefix,
    job_result_key,
    job_spec_key,
    machine_key,
    machines_prefix,
    member_key,
    progress_key,
    progress_prefix,
    rendezvous_key,
    run_token_key,
    validation_key,
)
from registry.layout.model_store import (
    Prefix,
    api_keys_key,
    api_keys_prefix,
    blob_key,
    certificate_key,
    certificates_prefix,
    channel_entry_key,
    channel_prefix,
    experiment_key,
    experiments_prefix,
    object_prefix,
    repair_key,
    version_key,
)
from registry.layout.roles import Role, creates, deletes, reads
from registry.layout.workspace import (
    cancelled_key,
    certification_key,
    code_key,
    code_prefix,
    drift_day_prefix,
    drift_key,
    drift_stack_prefix,
    pipeline_prefix,
    spending_prefix,
    stack_outputs_key,
    study_key,
    study_prefix,
    study_weights_key,
    table_key,
    trial_job,
    trial_key,
    trials_prefix,
)

SHA256 = "ab" * 32

KEYS = {
    code_key("test", SHA256): f"code/test/{SHA256}.zip",
    code_prefix("test"): "code/test/",
    job_prefix("j"): "jobs/j/",
    job_spec_key("j"): "jobs/j/spec.json",
    job_order_key("j"): "jobs/j/order.json",
    boot_token_key("j", "j-r2.3"): "jobs/j/attempts/j-r2.3/boot.json",
    job_launch_key("j", "j-r2.3"): "jobs/j/attempts/j-r2.3/launch.json",
    run_token_key("j", "j-r2.3"): "jobs/j/attempts/j-r2.3/run.json",
    stack_outputs_key("prod"): "stacks/prod.json",
    pipeline_prefix("p"): "pipelines/p/",
    certification_key("p"): "pipelines/p/certification.json",
    spending_prefix("2026-11"): "spending/2026-11/",
    job_result_key("j"): "jobs/j/result.json",
    epochs_prefix("j"): "jobs/j/epochs/",
    epoch_key("j", 12): "jobs/j/epochs/000012.json",
    progress_prefix("j"): "jobs/j/progress/",
    progress_key("j", 3, 128): "jobs/j/progress/03-00000128.json",
    fallback_key("j"): "jobs/j/fallback.json",
    machines_prefix("j"): "jobs/j/machines/",
    machine_key("j", 2): "jobs/j/machines/000002.json",
    checkpoints_prefix("j"): "jobs/j/checkpoints/",
    checkpoint_key("j", 40): "jobs/j/checkpoints/000040.pt",
    rendezvous_key("j", "r-1"): "jobs/j/meetings/r-1.json",
    member_key("j", "r-1", 2): "jobs/j/members/r-1/000002.json",
    boot_logs_prefix("j"): "jobs/j/boots/",
    boot_log_key("j", "i-1"): "jobs/j/boots/i-1.log",
    validation_key("j"): "jobs/j/validation.json",
    study_prefix("s"): "studies/s/",
    study_key("s"): "studies/s/study.json",
    study_weights_key("s"): "studies/s/initial.pt",
    trial_job("s", 7): "s-000007",
    trials_prefix("s"): "studies/s/trials/",
    trial_key("s", 7): "studies/s/trials/000007.json",
    cancelled_key("s"): "studies/s/cancelled.json",
    table_key("s"): "studies/s/table.json",
    photo_key(SHA256): f"photos/sha256/{SHA256}",
    manifest_key(SHA256): f"datasets/{SHA256}.jsonl",
    changes_prefix("d"): "datasets/d.changes/",
    change_key("d", SHA256): f"datasets/d.changes/{SHA256}.json",
    events_prefix("gate", "2026-08-02"): "events/gate/2026-08-02/",
    event_key("gate", "2026-08-02", "e"): "events/gate/2026-08-02/e.json",
    event_picture_key("gate", "2026-08-02", "e"): "event-pictures/gate/2026-08-02/e.jpg",
    attempts_of_job_prefix("j"): "jobs/j/attempts/",
    ingestions_prefix("d"): "datasets/d.ingestions/",
    ingestion_key("d", SHA256): f"datasets/d.ingestions/{SHA256}.json",
    quality_prefix("d"): "datasets/d.quality/",
    quality_key("d", 3, "html"): "datasets/d.quality/000003.html",
    object_prefix("pets", Prefix.CHANNELS): "pets/channels/",
    blob_key("pets", SHA256): f"pets/blobs/sha256/{SHA256}",
    version_key("pets", 5): "pets/versions/00000005.json",
    certificates_prefix("pets", 5): "pets/certificates/00000005/",
    certificate_key("pets", 5, 2): "pets/certificates/00000005/00000002.json",
    channel_prefix("pets", "prod"): "pets/channels/prod/",
    channel_entry_key("pets", "prod", 9): "pets/channels/prod/00000009.json",
    experiments_prefix("pets", "prod"): "pets/experiments/prod/",
    experiment_key("pets", "prod", 1): "pets/experiments/prod/00000001.json",
    repair_key("pets", 1): "pets/repairs/00000001.json",
    drift_stack_prefix("prod"): "monitoring/drift/v1/stack=prod/",
    drift_day_prefix("prod", "2026-08-02"): "monitoring/drift/v1/stack=prod/date=2026-08-02/",
    drift_key("prod", "2026-08-02", 7): "monitoring/drift/v1/stack=prod/date=2026-08-02/07.json",
    report_key("prod", "monthly", "2026-08", "t"): "reports/stack=prod/monthly/2026-08/t.html",
    samples_prefix("prod"): "labels/v1/prod/",
    sample_key("prod", "s"): "labels/v1/prod/s/sample.json",
    labellers_prefix("prod", "s"): "labels/v1/prod/s/people/",
    labeller_prefix("prod", "s", "vera"): "labels/v1/prod/s/people/vera/",
    label_key("prod", "s", "vera", 3): "labels/v1/prod/s/people/vera/00000003.json",
    api_keys_prefix("prod"): "api_keys/prod/",
    api_keys_key("api_keys/prod/", 4): "api_keys/prod/00000004.json",
}


@pytest.mark.parametrize(("made", "stored"), KEYS.items())
def test_a_key_is_what_stores_hold(made: str, stored: str):
    assert made == stored


def test_every_key_is_written_out_here():
    kinds = ("_key", "_prefix", "_job", "_token")
    functions = {
        name
        for module in (data_lake, jobs, model_store, workspace)
        for name, thing in vars(module).items()
        if inspect.isfunction(thing) and name.endswith(kinds)
    }
    assert len(KEYS) == len(functions)


def test_each_role_creates_its_own_entries_and_nothing_beside():
    entry = "0???????.json"
    assert {role: creates(role, "pets") for role in Role} == {
        Role.PUBLISHER: ("pets/blobs/sha256/*", f"pets/versions/{entry}"),
        Role.CERTIFIER: (f"pets/certificates/0???????/{entry}",),
        Role.PROMOTER: (f"pets/channels/*/{entry}", f"pets/experiments/*/{entry}", f"api_keys/*/{entry}"),
        Role.READER: (),
        Role.COLLECTOR: (),
        Role.REPAIRER: (f"pets/repairs/{entry}",),
    }


def test_promoter_and_reader_read_api_keys_and_only_the_collector_deletes_blobs():
    assert {role for role in Role if "api_keys/" in reads(role, "pets")} == {Role.PROMOTER, Role.READER}
    assert all(reads(role, "pets")[0] == "pets/" for role in Role)
    assert {role: deletes(role, "pets") for role in Role if deletes(role, "pets")} == {Role.COLLECTOR: ("pets/blobs/",)}
