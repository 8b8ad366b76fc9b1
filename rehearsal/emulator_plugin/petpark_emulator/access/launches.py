"""What RunInstances asks for: every resource that a launch uses or makes, its tags, and the role that it passes on.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

from petpark_emulator.access.api_call import ApiCall
from petpark_emulator.access.identities import iam_store
from petpark_emulator.access.policy import Request

OVERRIDES = {"image": "ImageId", "instance": "InstanceType", "security-group": "SecurityGroupIds", "subnet": "SubnetId"}
"""Members of a request that override what the template says about a resource."""


def required(call: ApiCall) -> Iterator[Request]:
    """Everything that must be allowed for a launch."""
    template, data = _template(call)
    given = {**data, **call.values}
    profile = given.get("IamInstanceProfile") or {}
    name = profile.get("Name") or profile.get("Arn", "").rpartition("/")[2]
    for resource in _resources(given, template):
        kind = resource.partition("/")[0]
        context = {
            "ec2:launchtemplate": call.arn(f"launch-template/{template}") if template else None,
            "ec2:islaunchtemplateresource": str(bool(template) and OVERRIDES.get(kind) not in call.values).lower(),
            **_request_tags(call, kind),
        }
        account = "" if kind == "image" else call.account
        yield call.request(
            f"arn:aws:ec2:{call.region}:{account}:{resource}",
            context={key: value for key, value in context.items() if value is not None},
        )
        if tags := _request_tags(call, kind):
            yield call.request(
                call.arn(resource), action="CreateTags", context={"ec2:createaction": "RunInstances", **tags}
            )
    for role in _roles(call, name):
        yield Request(action="iam:PassRole", resource=role, context={"iam:passedtoservice": "ec2.amazonaws.com"})


def _template(call: ApiCall) -> tuple[str, Mapping[str, Any]]:
    """The id of the launch template and what its version says; nothing for a launch without one, or with one that
    does not exist, which the service refuses in its own words.
    """
    from moto.ec2.models import ec2_backends

    wanted = call.values.get("LaunchTemplate") or {}
    backend: Any = ec2_backends[call.account][call.region]
    identifier = wanted.get("LaunchTemplateId") or backend.launch_template_name_to_ids.get(
        wanted.get("LaunchTemplateName")
    )
    found = backend.launch_templates.get(identifier)
    return (found.id, found.get_version(wanted.get("Version") or "$Default").data) if found else ("", {})


def _resources(given: Mapping[str, Any], template: str) -> Iterator[str]:
    yield "instance/*"
    yield "network-interface/*"
    yield "volume/*"
    if template:
        yield f"launch-template/{template}"
    if image := given.get("ImageId"):
        yield f"image/{image}"
    if subnet := given.get("SubnetId"):
        yield f"subnet/{subnet}"
    for group in given.get("SecurityGroupIds") or ():
        yield f"security-group/{group}"
    if (given.get("InstanceMarketOptions") or {}).get("MarketType") == "spot":
        yield "spot-instances-request/*"


def _request_tags(call: ApiCall, kind: str) -> dict[str, str]:
    return {
        f"aws:requesttag/{tag['Key'].lower()}": tag["Value"]
        for specification in call.values.get("TagSpecifications") or ()
        if specification.get("ResourceType") == kind
        for tag in specification.get("Tags") or ()
    }


def _roles(call: ApiCall, profile: str) -> Iterator[str]:
    """ARN of the role in a profile, which is passed on to the instance."""
    store = iam_store(call.account)
    found = store.INSTANCE_PROFILES.get(profile)
    if found is not None and found.role_name in store.ROLES:
        yield store.ROLES[found.role_name].role["Arn"]
