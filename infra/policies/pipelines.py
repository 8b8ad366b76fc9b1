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
    read_below,
    tell,
)
from registry.layout import ATTEMPT_TAG, DATASETS, JOB_TAG, JOBS, PIPELINES, SPENDING, job_result_key

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
    """End only what bears an attempt's tag. Instances can be described by anybody who may describe any."""
    return [
        allow(
            ["ec2:TerminateInstances"], [f"{ours}:instance/*"], {"Null": {f"aws:ResourceTag/{ATTEMPT_TAG}": "false"}}
        ),
        allow(["ec2:DescribeInstances"], ["*"]),
    ]


def run_pipeline(*, places: ResourceNames, job: str, topic: str) -> Document:
    """What the state machine `pipeline` may do: run jobs to their end, keep a token, send mail. `job` is an ARN.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
    """
    region, account = job.split(":")[3:5]
    rule = f"arn:aws:events:{region}:{account}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
    return document(
        [
            allow(["states:StartExecution"], [job]),
            allow(["states:DescribeExecution", "states:StopExecution"], [executions(job)]),
            allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], [rule]),
            *create(places.workspace, (PIPELINES,)),
            allow(["s3:ListBucket"], [bucket_arn(places.data_lake)]),
            allow(["sns:Publish"], [topic]),
            deliver_logs(),
        ]
    )


def start_pipeline(*, places: ResourceNames, pipeline: str) -> Document:
    """What the state machine `start` may do."""
    return document(
        [
            allow(["states:StartExecution"], [pipeline]),
            allow(["s3:ListBucket"], [bucket_arn(places.data_lake)], {"StringLike": {"s3:prefix": [f"{DATASETS}*"]}}),
            deliver_logs(),
        ]
    )


def clean_up(*, template: str, job: str) -> Document:
    """What the state machine `janitor` may do. `template` is the ARN of any launch template of the account."""
    ours = template.rpartition(":launch-template/")[0]
    return document([*_end_instances(ours), allow(["states:DescribeExecution"], [executions(job)]), deliver_logs()])


def start_machines(machines: Iterable[str]) -> Document:
    """What EventBridge or Scheduler may do: start these state machines (ARNs).

    Who starts an alias is authorised by the state machine's own ARN.
    https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    """
    return document([allow(["states:StartExecution"], sorted(machines))])


def follow_pipeline(machines: Iterable[str]) -> Document:
    """What those need who start, follow and stop executions of these state machines (ARNs)."""
    arns = sorted(machines)
    return document(
        [
            allow(["states:StartExecution", "states:ListExecutions"], arns),
            allow(
                ["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"],
                [executions(arn) for arn in arns],
            ),
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
            *create(places.workspace, (JOBS,)),
            allow(["sts:AssumeRole"], sorted(roles)),
            allow(["ec2:DescribeInstances", "elasticloadbalancing:DescribeTargetHealth"], ["*"]),
            tell(log_group),
        ]
    )


def executions(machine: str) -> str:
    """ARN pattern of the executions of a state machine."""
    return f"{machine.replace(':stateMachine:', ':execution:')}:*"


def deliver_logs() -> Statement:
    """Let Step Functions send logs to CloudWatch; these actions take no resource.

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
