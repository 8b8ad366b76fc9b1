"""EventBridge Scheduler fires.

AWS calls a schedule's target when its time has come. LocalStack keeps schedules and never looks at them again. Here one
thread looks twice a second. Targets: Step Functions, SQS and SNS; retries and flexible windows are not emulated.
"""

import logging
import re
import secrets
import threading
import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

LOG = logging.getLogger(__name__)
TICK_SECONDS = 0.5
SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


def apply() -> None:
    """Start to look at schedules."""
    threading.Thread(target=_run, name="scheduler", daemon=True).start()


def next_time(expression: str, timezone: str, now: float) -> float:
    """When `expression` fires next after `now`, in seconds since the epoch.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """
    kind, _, argument = expression.rstrip(")").partition("(")
    zone = ZoneInfo(timezone)
    if kind == "at":
        return datetime.fromisoformat(argument).replace(tzinfo=zone).timestamp()
    if kind == "rate":
        count, unit = argument.split()
        return now + int(count) * SECONDS[unit.rstrip("s")]
    from crontab import CronTab

    fields = argument.replace("?", "*").split()
    # AWS counts the days of the week from Sunday = 1, cron from Sunday = 0.
    fields[4] = re.sub(r"(?<!#)\d", lambda digit: str(int(digit[0]) - 1), fields[4])
    table: Any = CronTab(" ".join(fields))
    return now + table.next(now=datetime.fromtimestamp(now, zone), default_utc=True)


def filled(text: str, when: float, execution: str = "") -> str:
    """An input with the time of its schedule, and the id of the call.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    time_ = f"{datetime.fromtimestamp(when, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return text.replace("<aws.scheduler.scheduled-time>", time_).replace("<aws.scheduler.execution-id>", execution)


def first_time(expression: str, timezone: str, now: float, start: float | None) -> float:
    """When a schedule that is new at `now` fires first: a rate without a start date at once.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
    """
    since = max(now, start or 0.0)
    return since if expression.startswith("rate(") else next_time(expression, timezone, since)


def _run() -> None:
    from moto.scheduler.models import scheduler_backends

    due: dict[tuple[str, str, float], float] = {}
    while True:
        time.sleep(TICK_SECONDS)
        for account, regions in list(scheduler_backends.items()):
            for region, backend in list(regions.items()):
                groups: list[Any] = list(backend.schedule_groups.values())
                for group in groups:
                    for schedule in list(group.schedules.values()):
                        try:
                            _look_at(schedule, group, due, account, region)
                        except Exception:
                            LOG.exception("could not run the schedule %s", schedule.arn)


def _look_at(schedule: Any, group: Any, due: dict[tuple[str, str, float], float], account: str, region: str) -> None:
    now = time.time()
    # A changed schedule restarts.
    key = (schedule.arn, schedule.schedule_expression, schedule.last_modified_date)
    expression, timezone = schedule.schedule_expression, schedule.schedule_expression_timezone
    if key not in due:
        due[key] = first_time(expression, timezone, now, float(schedule.start_date or 0))
    when = due[key]
    if schedule.state != "ENABLED" or now < when:
        return
    once = expression.startswith("at(")
    due[key] = float("inf") if once else next_time(expression, timezone, now)
    _call(schedule.target, account, region, when)
    if once and schedule.action_after_completion == "DELETE":
        group.schedules.pop(schedule.name, None)


def _call(target: dict[str, Any], account: str, region: str, when: float) -> None:
    from localstack.aws.connect import connect_to

    arn, text = target["Arn"], filled(target.get("Input") or "{}", when, secrets.token_hex(8))
    clients = connect_to(aws_access_key_id=account, region_name=region)
    service, name = arn.split(":")[2], arn.rsplit(":", 1)[-1]
    if service == "states":
        clients.stepfunctions.start_execution(stateMachineArn=arn, input=text)
    elif service == "sqs":
        queue = clients.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        clients.sqs.send_message(QueueUrl=queue, MessageBody=text)
    elif service == "sns":
        clients.sns.publish(TopicArn=arn, Message=text)
    else:
        raise NotImplementedError(f"schedules cannot call {arn} here: only Step Functions, SQS and SNS")
