"""What AWS would refuse or what would surprise there, looked up before the first `pulumi up` of a stack.

Every check only reads. A check that the caller may not make, or that AWS does not answer, is `unchecked`: it neither
passes nor fails, and says which permission it needs. `docs/aws.md` lists the rules with their sources.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

from infra.configuration.stack_file import SettingsUnusable, read_stack
from petpark.account import budgets, capacity, certificates, identity, images, quotas, roles, stated
from petpark.account.cloud import Account, Unchecked
from petpark.doctor import Check, Health

_AT_ONCE = 6
"""Checks that run at the same time: they wait for AWS, not for the CPU."""


def examine(root: Path, stack: str, *, session: boto3.Session | None = None) -> Iterator[Check]:
    """The checks of the account against `Pulumi.<stack>.yaml` below `root`, in a fixed order.

    Without usable settings or credentials there is one check that reports it. Never raises for answers of AWS.
    """
    try:
        settings = read_stack(root, stack)
    except SettingsUnusable as error:
        yield Check(name="settings", health=Health.MISSING, found=str(error), fix=f"edit Pulumi.{stack}.yaml")
        return
    account = Account(session or boto3.Session(), settings.region)
    caller, first = identity.check(account)
    yield first
    if caller is None:
        return
    checks: dict[str, Callable[[], Sequence[Check]]] = {
        "quotas": lambda: quotas.check(account, stack, settings),
        "service-linked roles": lambda: roles.check(account, caller, settings),
        "instance types": lambda: capacity.check(account, stack, settings),
        "machine images": lambda: images.check(account, settings),
        "certificate": lambda: certificates.check(account, stack, settings),
        "budget": lambda: budgets.check(account, caller),
    }
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running = [(name, pool.submit(check)) for name, check in checks.items()]
        for name, answer in running:
            try:
                yield from answer.result()
            except Unchecked as error:
                yield error.as_check(name)
    yield from stated.check(stack, settings)
