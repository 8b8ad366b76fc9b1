"""`petpark people`."""

import json
from typing import Annotated

import typer

from petpark.app import example, invocation
from petpark.errors import StackOutdated
from registry.layout import Role

_LOOK = ("ec2:DescribeInstances", "elasticloadbalancing:DescribeTargetHealth")
"""What commands do as the person, beside the role: see what runs behind an endpoint."""


def policy(
    ctx: typer.Context,
    roles: Annotated[
        list[Role], typer.Argument(help="The operator roles that the person may take.", show_default=False)
    ],
) -> None:
    """Print the IAM policy for a person who acts in the given roles of --stack.

    It goes to a user, a role of theirs, or a permission set of IAM Identity Center.
    """
    run = invocation(ctx)
    outputs = run.target().outputs
    lacking = [role for role in roles if role not in outputs.roles]
    if lacking:
        raise StackOutdated(
            f"Stack {outputs.stack} has no role {', '.join(lacking)}.", next_step=f"pulumi up --stack {outputs.stack}"
        )
    statements = [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": sorted({outputs.roles[role] for role in roles})},
        {"Effect": "Allow", "Action": list(_LOOK), "Resource": "*"},
    ]
    # JSON either way, for `aws iam put-user-policy --policy-document file://…`.
    typer.echo(json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2))


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("people", epilog=example("petpark people certifier", "petpark people publisher reader"))(policy)
