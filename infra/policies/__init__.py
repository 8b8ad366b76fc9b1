"""Who may do what: IAM, bucket and key policies. Pure: names in, policy documents out.

Prefixes come from `registry.layout`, so that a key that the code writes and a key that its role may write are one.
Reading is granted by bucket: to follow a channel is to ask for objects that do not exist yet, and S3 answers such a
question with 404 only to those who may list (403 otherwise).
"""

from infra.policies.buckets import ACCESS_LOG, access_log_bucket, lake_bucket, workspace_bucket, write_once_bucket
from infra.policies.budgets import apply_policy, receive_budget_alerts, start_nothing, trust_budgets
from infra.policies.deploying.stack import BUCKETS, ROLES, Deploying
from infra.policies.deploying.workflows import deploy, preview
from infra.policies.instances import endpoint, session_manager, training
from infra.policies.keys import encryption_key, signing_key
from infra.policies.operators import operator
from infra.policies.people import person, watch_jobs
from infra.policies.pipelines import (
    act_on_alarms,
    answer_tasks,
    answer_tokens,
    call_destinations,
    clean_up,
    deliver_logs,
    follow_pipeline,
    run_jobs,
    run_pipeline,
    run_study,
    small_worker,
    start_machines,
    start_pipeline,
)
from infra.policies.resource_names import ResourceNames
from infra.policies.statements import Accounts, Document, Statement, as_json
from infra.policies.trust import AUDIENCE, GITHUB, trust_github, trust_people, trust_service

__all__ = [
    "ACCESS_LOG",
    "AUDIENCE",
    "BUCKETS",
    "GITHUB",
    "ROLES",
    "Accounts",
    "Deploying",
    "Document",
    "ResourceNames",
    "Statement",
    "access_log_bucket",
    "act_on_alarms",
    "answer_tasks",
    "answer_tokens",
    "apply_policy",
    "as_json",
    "call_destinations",
    "clean_up",
    "deliver_logs",
    "deploy",
    "encryption_key",
    "endpoint",
    "follow_pipeline",
    "lake_bucket",
    "operator",
    "person",
    "preview",
    "receive_budget_alerts",
    "run_jobs",
    "run_pipeline",
    "run_study",
    "session_manager",
    "signing_key",
    "small_worker",
    "start_machines",
    "start_nothing",
    "start_pipeline",
    "training",
    "trust_budgets",
    "trust_github",
    "trust_people",
    "trust_service",
    "watch_jobs",
    "workspace_bucket",
    "write_once_bucket",
]
