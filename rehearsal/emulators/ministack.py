"""MiniStack: MIT licence, pure Python, no Docker for what petpark uses."""

from rehearsal.emulators.product import EmulatorPaths, Lacking, optional, without_docker


def _settings(place: EmulatorPaths) -> dict[str, str]:
    return {
        "AUTH": "true" if place.enforce_iam else "false",
        "GATEWAY_PORT": str(place.port),
        "MINISTACK_HOST": place.host,
        "MINISTACK_REGION": place.region,
        "AWS_ACCESS_KEY_ID": "test",  # its administrator
        "AWS_SECRET_ACCESS_KEY": "test",
        "S3_DATA_DIR": str(place.folders["state"] / "s3"),
        "STATE_DIR": str(place.folders["state"]),
        # Services with listeners on separate ports, which other programs may need, or with containers: none is used.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        **without_docker(place),
    }


_LACKS = (
    Lacking(
        behaviour="instances behind Auto Scaling groups: members are names without an instance and without a target",
        tests=(
            "test_instances.py::test_a_group_starts_the_template_version_it_names",
            "test_services.py::test_target_health_follows_the_groups_members",
            "test_services.py::test_an_instance_refresh_replaces_every_member",
            "test_services.py::test_an_update_keeps_the_mixed_instances_policy_it_does_not_name",
        ),
        fix="groups that launch, replace and register instances: its `autoscaling` module, rewritten",
    ),
    Lacking(
        behaviour="policies that hold for the account's administrator: root passes buckets, keys and trust policies",
        tests=(
            "test_access.py::test_an_instances_session_takes_only_a_role_that_trusts_ec2",
            "test_access.py::test_the_administrators_own_name_is_root",
            "test_access.py::test_not_even_the_administrator_signs",
            "test_write_once.py::test_not_even_the_administrator_writes_plainly_or_deletes",
        ),
        fix="evaluate resource policies for root; an administrator that is a user would do",
    ),
    Lacking(
        behaviour="permission for one instance by its tag, one log group by its ARN, metrics by their namespace",
        tests=(
            "test_access.py::test_an_instance_can_be_allowed_by_its_tag_only",
            "test_access.py::test_a_log_group_can_be_allowed_alone",
            "test_access.py::test_metrics_can_be_allowed_for_a_namespace_only",
        ),
        fix="ARNs and condition keys of these three services",
    ),
    Lacking(
        behaviour="a trust policy that names the caller as permission enough",
        tests=("test_access.py::test_a_role_that_names_the_caller_needs_nothing_more",),
        fix="evaluate the trust policy as a resource policy",
    ),
    Lacking(
        behaviour="S3's use of a customer's key in the caller's name",
        tests=(
            "test_access.py::test_reading_an_encrypted_object_takes_the_key_too",
            "test_access.py::test_writing_an_encrypted_object_takes_the_key_too",
        ),
        fix="ask for `kms:Decrypt` and `kms:GenerateDataKey` too (LocalStack: `access/storage`)",
    ),
    Lacking(
        behaviour="AccessDenied for a missing object to those who may not list",
        tests=("test_access.py::test_a_missing_object_is_denied_to_those_who_may_not_list",),
        fix="ask for `s3:ListBucket` too (LocalStack: `access/storage`)",
    ),
    Lacking(
        behaviour="the refusal of an instance profile that does not exist",
        tests=("test_instances.py::test_a_profile_that_does_not_exist_is_refused",),
        fix="one check in RunInstances (LocalStack: `instances`)",
    ),
    Lacking(
        behaviour="the same answer to a later attempt of an answered call",
        tests=("test_retries.py::test_a_later_attempt_of_an_answered_call_gets_the_same_answer",),
        fix="remember answers by `amz-sdk-invocation-id` (LocalStack: `retries`)",
    ),
    Lacking(
        behaviour="a new token for each attempt of a task: a dead worker's answer counts for the next attempt",
        tests=("test_workflows.py::test_a_retried_task_has_a_new_token_and_the_old_ones_worker_is_refused",),
        fix="LocalStack: `step_functions`",
    ),
    Lacking(
        behaviour="missing heartbeats: a silent worker is noticed when its task takes too long",
        tests=("test_workflows.py::test_a_missing_heartbeat_has_another_error_than_a_timeout",),
        fix="LocalStack: `step_functions`",
    ),
    Lacking(
        behaviour="a queue's redrive policy read back without spaces",
        tests=("test_services.py::test_a_queues_redrive_policy_reads_back_compact",),
        fix="one line (LocalStack: `queues`)",
    ),
)

MINISTACK = optional("MiniStack", settings=_settings, lacks=_LACKS)
