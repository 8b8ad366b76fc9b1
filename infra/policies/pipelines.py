"""What the pipeline's state machines, their triggers, their workers and the people around them may do. Pure."""

from collections.abc import Iterable, Sequence

from infra.policies.resource_names import ResourceNames
from infra.policies.statements import (
    Document,
    Statement,
    allow,
    bucket_arn,
    create,
    delete,
    document,
    objects_arn,
    read_below,
    use_key,
    write_logs,
)
from registry.layout.data_lake import DATASETS
from registry.layout.jobs import ATTEMPT_TAG, JOB_TAG, JOBS, job_result_key
from registry.layout.model_store import Prefix, object_prefix
from registry.layout.workspace import DRIFT, PIPELINES, SPENDING

_ANSWERS = ["states:SendTaskSuccess", "states:SendTaskFailure", "states:SendTaskHeartbeat"]


def run_jobs(
    *,
    places: ResourceNames,
    templates: Sequence[str],
    subnets: Sequence[str],
    roles: Sequence[str],
) -> Document:
    """What the state machine `job` may do: launch instances of its templates with a job's tags, end them, keep books.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-fleet-prerequisites.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    """
    ours = templates[0].rpartition(":launch-template/")[0]
    images = f"{':'.join(ours.split(':')[:4])}::image/*"
    instances, volumes = f"{ours}:instance/*", f"{ours}:volume/*"
    from_template = {"ec2:LaunchTemplate": list(templates)}
    as_in_template = {"ArnEquals": from_template, "Bool": {"ec2:IsLaunchTemplateResource": "true"}}
    of_a_job = {"ArnEquals": from_template, "Null": {f"aws:RequestTag/{JOB_TAG}": "false"}}
    run = ["ec2:RunInstances"]
    made = {"StringEquals": {"ec2:CreateAction": ["CreateFleet", "RunInstances"]}}
    return document(
        [
            allow(["ec2:CreateFleet"], [f"{ours}:fleet/*", *templates, instances]),
            allow(run, [instances], of_a_job),
            allow(run, [images, f"{ours}:security-group/*"], as_in_template),
            allow(run, [*templates, *subnets, f"{ours}:network-interface/*", volumes], {"ArnEquals": from_template}),
            allow(run, [f"{ours}:spot-instances-request/*"]),
            allow(["ec2:CreateTags"], [instances, volumes], made),
            *_end_instances(ours),
            allow(["iam:PassRole"], list(roles), {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}),
            *read_below(places.workspace, (JOBS, SPENDING)),
            *create(places.workspace, (JOBS, SPENDING)),
            *delete(places.workspace, (job_result_key("*"), SPENDING)),
            deliver_logs(),
        ]
    )


def _end_instances(ours: str) -> list[Statement]:
    """Terminate only instances with an attempt's tag. Permission to describe instances cannot be limited to some."""
    return [
        allow(
            ["ec2:TerminateInstances"], [f"{ours}:instance/*"], {"Null": {f"aws:ResourceTag/{ATTEMPT_TAG}": "false"}}
        ),
        allow(["ec2:DescribeInstances"], ["*"]),
    ]


def run_study(*, places: ResourceNames, job: str) -> Document:
    """What the state machine `study` may do: run jobs to their end, and read what they cost. `job` is an ARN."""
    books = allow(["s3:ListBucket"], [bucket_arn(places.workspace)], {"StringLike": {"s3:prefix": [f"{SPENDING}*"]}})
    return document([*_run_to_the_end([job]), books, deliver_logs()])


def run_pipeline(*, places: ResourceNames, machines: Sequence[str], topic: str) -> Document:
    """Permissions of the state machine `pipeline`: jobs and a study (ARNs), a task token, e-mail, and certificates."""
    decisions = object_prefix(places.model, Prefix.CERTIFICATES)
    return document(
        [
            *_run_to_the_end(machines),
            *create(places.workspace, (PIPELINES,)),
            allow(["s3:ListBucket"], [bucket_arn(places.data_lake)]),
            allow(
                ["s3:ListBucket"], [bucket_arn(places.model_store)], {"StringLike": {"s3:prefix": [f"{decisions}*"]}}
            ),
            allow(["s3:GetObject"], [objects_arn(places.model_store, decisions)]),
            use_key(places.encryption_key, writes=False),
            allow(["sns:Publish"], [topic]),
            deliver_logs(),
        ]
    )


def _run_to_the_end(machines: Sequence[str]) -> list[Statement]:
    """Start executions of state machines (ARNs), wait for their end, and stop them.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
    """
    region, account = machines[0].split(":")[3:5]
    rule = f"arn:aws:events:{region}:{account}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
    return [
        allow(["states:StartExecution"], list(machines)),
        allow(["states:DescribeExecution", "states:StopExecution"], [executions(machine) for machine in machines]),
        allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], [rule]),
    ]


def start_pipeline(*, places: ResourceNames, pipeline: str) -> Document:
    """What the state machine `start` may do."""
    return document(
        [
            allow(["states:StartExecution"], [pipeline]),
            allow(["s3:ListBucket"], [bucket_arn(places.data_lake)], {"StringLike": {"s3:prefix": [f"{DATASETS}*"]}}),
            deliver_logs(),
        ]
    )


def clean_up(*, places: ResourceNames, template: str, job: str, namespace: str) -> Document:
    """Permissions of the state machine `janitor`. `template` is the ARN of any launch template of the account.

    Metrics have no ARN; the condition key limits them to a namespace.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html
    """
    ours = template.rpartition(":launch-template/")[0]
    return document(
        [
            *_end_instances(ours),
            allow(["states:DescribeExecution"], [executions(job)]),
            *read_below(places.workspace, (JOBS, SPENDING)),
            *create(places.workspace, (SPENDING,)),
            *delete(places.workspace, (SPENDING,)),
            allow(["cloudwatch:PutMetricData"], ["*"], {"StringEquals": {"cloudwatch:namespace": namespace}}),
            deliver_logs(),
        ]
    )


def start_machines(machines: Iterable[str]) -> Document:
    """What EventBridge or Scheduler may do: start these state machines (ARNs).

    Who starts an alias is authorised by the state machine's own ARN.
    https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    """
    return document([allow(["states:StartExecution"], sorted(machines))])


def act_on_alarms(*, job: str, start: str, topics: Iterable[str]) -> Document:
    """Permissions of the state machine `act`: run `job` or `start`, and publish the result. All arguments are ARNs."""
    region, account = job.split(":")[3:5]
    rule = f"arn:aws:events:{region}:{account}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
    return document(
        [
            allow(["states:StartExecution"], [job, start]),
            allow(["states:DescribeExecution", "states:StopExecution"], [executions(job), executions(start)]),
            allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], [rule]),
            allow(["sns:Publish"], sorted(topics)),
            deliver_logs(),
        ]
    )


def call_destinations(destinations: Iterable[str]) -> Document:
    """Permissions of EventBridge to call API destinations (ARNs).

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
    """
    return document([allow(["events:InvokeApiDestination"], sorted(destinations))])


def follow_pipeline(*, machines: Iterable[str], janitor: str, log_group: str) -> Document:
    """Permissions to start, follow and stop executions of `machines`, and to read logs of small jobs. All are ARNs.

    IAM checks versions and aliases by the ARN of their state machine.
    https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    """
    arns = sorted(machines)
    return document(
        [
            allow(["states:StartExecution", "states:ListExecutions"], arns),
            allow(
                ["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"],
                [executions(arn) for arn in arns],
            ),
            allow(["states:DescribeStateMachine", "states:DescribeStateMachineAlias"], [*arns, janitor]),
            allow(["logs:GetLogEvents"], [f"{log_group}:*"]),
        ]
    )


def answer_tokens(places: ResourceNames) -> Document:
    """What a certifier needs to wake a pipeline: to read its token, and to answer it."""
    return document([*read_below(places.workspace, (PIPELINES,)), answers()])


def answer_tasks() -> Document:
    """What a job's instance needs to answer its tokens."""
    return document([answers()])


def answers() -> Statement:
    """Answer task tokens. These actions cannot be limited to a state machine.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
    """
    return allow(list(_ANSWERS), ["*"])


def small_worker(*, places: ResourceNames, log_group: str, roles: Sequence[str]) -> Document:
    """What an instance of the machine `small` may do: its job's records, and what operators in `roles` (ARNs) may."""
    return document(
        [
            *read_below(places.workspace, ("",)),
            *create(places.workspace, (JOBS, DRIFT)),
            allow(["sts:AssumeRole"], sorted(roles)),
            allow(["ec2:DescribeInstances", "elasticloadbalancing:DescribeTargetHealth"], ["*"]),
            write_logs(log_group),
        ]
    )


def executions(machine: str) -> str:
    """ARN pattern of the executions of a state machine."""
    return f"{machine.replace(':stateMachine:', ':execution:')}:*"


def deliver_logs() -> Statement:
    """Allow Step Functions to send logs to CloudWatch; these actions take no resource.

    https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy
    """
    return allow(
        [
            "logs:CreateLogDelivery",
            "logs:GetLogDelivery",
            "logs:UpdateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:DescribeResourcePolicies",
            "logs:DescribeLogGroups",
        ],
        ["*"],
    )
