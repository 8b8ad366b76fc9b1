"""Who may do what: IAM, bucket and key policies. Pure: names in, policy documents out.

Prefixes come from `registry.layout`, so that a key that the code writes and a key that its role may write are one.
Reading is granted by bucket: to follow a channel is to ask for objects that do not exist yet, and S3 answers such a
question with 404 only to those who may list (403 otherwise).
"""

from infra.policies.buckets import ACCESS_LOG, access_log_bucket, lake_bucket, workspace_bucket, write_once_bucket
from infra.policies.instances import endpoint, session_manager, training
from infra.policies.keys import encryption_key, signing_key
from infra.policies.launching import launch, person
from infra.policies.operators import operator
from infra.policies.pipelines import (
    answer_tasks,
    answer_tokens,
    clean_up,
    deliver_logs,
    follow_pipeline,
    run_jobs,
    run_pipeline,
    small_worker,
    start_machines,
    start_pipeline,
)
from infra.policies.resource_names import ResourceNames
from infra.policies.statements import Accounts, Document, Statement, as_json
from infra.policies.trust import trust_people, trust_service

__all__ = [
    "ACCESS_LOG",
    "Accounts",
    "Document",
    "ResourceNames",
    "Statement",
    "access_log_bucket",
    "answer_tasks",
    "answer_tokens",
    "as_json",
    "clean_up",
    "deliver_logs",
    "encryption_key",
    "endpoint",
    "follow_pipeline",
    "lake_bucket",
    "launch",
    "operator",
    "person",
    "run_jobs",
    "run_pipeline",
    "session_manager",
    "signing_key",
    "small_worker",
    "start_machines",
    "start_pipeline",
    "training",
    "trust_people",
    "trust_service",
    "workspace_bucket",
    "write_once_bucket",
]
