"""The policies of the roles that preview and deploy."""

from infra.policies.deploying.automation import change_alarm_actions, change_pipeline
from infra.policies.deploying.endpoint import change_endpoint, change_network
from infra.policies.deploying.platform import change_platform, change_telemetry, write_state
from infra.policies.deploying.reading import look_for_leftovers, read_resources, read_state, verify_deployment
from infra.policies.deploying.roles import change_roles
from infra.policies.deploying.stack import Deploying
from infra.policies.statements import Document, document


def preview(account: str, region: str, state_bucket: str | None) -> Document:
    """Read what is deployed and what Pulumi recorded: enough for `pulumi preview` and `refresh --preview-only`.

    A preview takes no lock in the state's bucket.
    """
    state = [] if state_bucket is None else read_state(state_bucket)
    return document([*read_resources(account, region), *state])


def deploy(to: Deploying) -> dict[str, Document]:
    """What the role that deploys one stack may do, by area, each a managed policy."""
    areas = {
        "read": document(read_resources(to.account, to.region)),
        "network": document(change_network(to)),
        "endpoint": document(change_endpoint(to)),
        "actions": document(change_alarm_actions(to)),
        "roles": document([*change_roles(to), *verify_deployment(to), *look_for_leftovers(to)]),
    }
    if to.owner:
        areas["platform"] = document([*change_platform(to), *change_telemetry(to)])
        areas["pipeline"] = document(change_pipeline(to))
    if to.state_bucket is not None:
        areas["state"] = document([*read_state(to.state_bucket), *write_state(to.state_bucket)])
    return areas
