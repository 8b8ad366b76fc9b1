"""LocalEmu: a fork of LocalStack's last open-source core, without Docker here."""

from rehearsal.emulators.localstack import gateway
from rehearsal.emulators.product import EmulatorPaths, Lacking, optional, without_docker


def _settings(place: EmulatorPaths) -> dict[str, str]:
    return {
        **gateway(place),
        **without_docker(place),
        "IAM_ENFORCEMENT": "1" if place.enforce_iam else "0",
        "ROOT_ACCESS_KEYS": "test",  # its administrator
        "EC2_VM_MANAGER": "none",  # instances are records; petpark runs their processes
        "CONFIG_DIR": str(place.folders["config"]),
        "LOCALEMU_HOST": place.address,
        "DOCKER_SOCK": str(place.folders["state"] / "no-docker"),
    }


_LACKS = (
    Lacking(
        behaviour="the error codes of the services: every refusal is `AccessDenied`",
        tests=(
            "test_access.py::test_a_role_may_do_what_its_policy_allows_and_nothing_else",
            "test_access.py::test_a_policy_attached_to_the_role_counts",
            "test_access.py::test_a_policy_managed_by_aws_counts",
            "test_access.py::test_a_key_that_nobody_has_is_refused",
            "test_access.py::test_an_instance_can_be_allowed_by_its_tag_only",
            "test_access.py::test_a_key_can_be_allowed_alone",
        ),
        fix="answer with each service's code",
    ),
    Lacking(
        behaviour="conditions on prefixes, namespaces and log groups: what they allow is refused",
        tests=(
            "test_access.py::test_a_listing_can_be_allowed_for_a_prefix_only",
            "test_access.py::test_metrics_can_be_allowed_for_a_namespace_only",
            "test_access.py::test_a_log_group_can_be_allowed_alone",
            "test_access.py::test_how_a_bucket_is_set_up_is_read_with_permissions_of_other_names",
        ),
        fix="LocalStack: `access/required`",
    ),
    Lacking(
        behaviour="trust policies: session names are free, and a service or a caller that one names counts for nothing",
        tests=(
            "test_access.py::test_an_instances_session_takes_only_a_role_that_trusts_ec2",
            "test_access.py::test_a_role_that_names_the_caller_needs_nothing_more",
            "test_access.py::test_a_role_can_ask_users_for_their_own_name",
            "test_access.py::test_the_administrators_own_name_is_root",
            "test_access.py::test_a_role_can_ask_sessions_to_keep_their_name",
        ),
        fix="LocalStack: `access/identities`",
    ),
    Lacking(
        behaviour="bucket policies as petpark writes them: every write is refused, and a role that one names stays out",
        tests=(
            "test_write_once.py::test_a_plain_write_is_refused_and_a_conditional_one_happens_once",
            "test_write_once.py::test_not_even_the_administrator_writes_plainly_or_deletes",
            "test_write_once.py::test_parts_are_exempt_and_their_completion_is_not",
            "test_write_once.py::test_copying_over_an_object_is_refused",
            "test_write_once.py::test_only_the_collector_deletes",
            "test_write_once.py::test_a_bucket_policy_lets_in_whom_it_names",
        ),
        fix="LocalStack: `access/storage`",
    ),
    Lacking(
        behaviour="key policies, and S3's use of a key in the caller's name: anyone signs, and reads what is encrypted",
        tests=(
            "test_access.py::test_only_the_certifier_signs",
            "test_access.py::test_not_even_the_administrator_signs",
            "test_access.py::test_reading_an_encrypted_object_takes_the_key_too",
            "test_access.py::test_writing_an_encrypted_object_takes_the_key_too",
            "test_access.py::test_a_missing_object_is_denied_to_those_who_may_not_list",
        ),
        fix="LocalStack: `access/enforcement`, `access/storage`",
    ),
    Lacking(
        behaviour="instance profiles, and all but tags that a launch template gives its instances",
        tests=(
            "test_fleets.py::test_a_fleets_instances_are_as_whole_as_others",
            "test_instances.py::test_a_launch_template_gives_its_instances_the_profile_it_names",
            "test_instances.py::test_every_instance_of_a_run_gets_the_profile_it_names",
            "test_instances.py::test_a_profile_that_does_not_exist_is_refused",
            "test_instances.py::test_a_launch_template_gives_its_instances_the_metadata_options_it_names",
            "test_instances.py::test_a_launch_template_makes_its_instances_spot_instances",
            "test_instances.py::test_a_launch_template_says_what_shutting_down_means",
            "test_instances.py::test_a_launch_template_names_its_instances_subnet",
            "test_instances.py::test_a_launch_templates_own_tags_are_no_part_of_its_data_and_can_change",
        ),
        fix="LocalStack: `instances`, `launch_templates`",
    ),
    Lacking(
        behaviour="events of an instance's changes",
        tests=("test_instances.py::test_every_change_of_an_instance_is_an_event",),
        fix="LocalStack: `instances`",
    ),
    Lacking(
        behaviour="Auto Scaling groups that start, register, refresh and read back as AWS's",
        tests=(
            "test_instances.py::test_a_group_starts_the_template_version_it_names",
            "test_services.py::test_target_health_follows_the_groups_members",
            "test_services.py::test_an_instance_refresh_replaces_every_member",
            "test_services.py::test_an_update_keeps_the_mixed_instances_policy_it_does_not_name",
            "test_services.py::test_a_scaling_policy_answers_its_arn_and_is_enabled",
        ),
        fix="LocalStack: `autoscaling`, `load_balancing`",
    ),
    Lacking(
        behaviour="idle connections, and answers to calls that are sent again",
        tests=(
            "test_process.py::test_an_idle_connection_stays_open",
            "test_retries.py::test_a_later_attempt_of_an_answered_call_gets_the_same_answer",
        ),
        fix="LocalStack: `connections`, `retries`",
    ),
    Lacking(
        behaviour="silence towards the network: it looks up a host name at the first call to S3",
        tests=("test_process.py::test_it_reaches_for_nothing_outside_this_machine",),
        fix="LocalStack: `connections`; `loopback_only` refuses it",
    ),
    Lacking(
        behaviour="budgets' tags and compact redrive policies",
        tests=(
            "test_services.py::test_a_budget_reads_back_its_tags_and_subscribers_and_can_be_changed",
            "test_services.py::test_a_queues_redrive_policy_reads_back_compact",
        ),
        fix="LocalStack: `budgets`, `queues`",
    ),
    Lacking(
        behaviour="the public parameter of the Deep Learning image",
        tests=(
            "test_services.py::test_a_public_parameter_names_an_image_that_instances_and_templates_take[deep-learning]",
        ),
        fix="LocalStack: `machine_images`",
    ),
    Lacking(
        behaviour="Step Functions' tokens, missing heartbeats, stops and user data, and JSONata",
        tests=(
            "test_workflows.py::test_a_retried_task_has_a_new_token_and_the_old_ones_worker_is_refused",
            "test_workflows.py::test_a_missing_heartbeat_has_another_error_than_a_timeout",
            "test_workflows.py::test_task_results_are_accepted_while_another_execution_starts",
            "test_workflows.py::test_an_execution_that_waits_for_a_token_can_be_stopped",
            "test_workflows.py::test_user_data_reaches_an_instance_encoded_once",
            "test_workflows.py::test_jsonata_needs_no_java",
            "test_workflows.py::test_jsonata_has_the_functions_that_step_functions_adds_and_takes_any_text",
        ),
        fix="LocalStack: `step_functions`",
    ),
    Lacking(
        behaviour="schedules that call their target in time",
        tests=("test_workflows.py::test_a_schedule_calls_its_target_when_its_time_has_come",),
        fix="LocalStack: `scheduler`",
    ),
)

LOCALEMU = optional("LocalEmu", settings=_settings, lacks=_LACKS)
