"""`petpark people`."""

import json
from typing import Annotated

import typer
from rich.text import Text

from petpark.app import example, group, invocation
from petpark.targets import access
from registry.layout.roles import Role

app = group("AWS permissions for the people who operate petpark.")


@app.command(
    "policy",
    epilog=example(
        "petpark people policy --role promoter --role reader --stack prod > promoter.json",
        "petpark people policy --role publisher",
    ),
)
def policy(
    ctx: typer.Context,
    role: Annotated[list[Role], typer.Option(help="Role that the person may assume. Repeatable.")],
) -> None:
    """Print an IAM policy (for a user or a permission set) that allows assuming these roles and listing what runs.

    The permissions of each role are in its own policy, which the stack created. Training needs the role publisher.
    """
    run = invocation(ctx)
    document = access.policy(run.target().outputs, role)
    run.output.show(Text(json.dumps(document, indent=2)), facts=document, apart=False)
