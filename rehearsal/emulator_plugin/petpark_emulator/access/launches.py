"""What RunInstances asks for: every resource that a launch uses or makes, its tags, and the role that it passes on.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

from petpark_emulator.access.asked import Asked
from petpark_emulator.access.identities import IAM_REGION
from petpark_emulator.access.policy import Question

OVERRIDES = {"image": "ImageId", "instance": "InstanceType", "security-group": "SecurityGroupIds", "subnet": "SubnetId"}
"""Members of a request that override what the template says about a resource."""


def questions(asked: Asked) -> Iterator[Question]:
    """Everything that must be allowed for a launch."""
    template, data = _template(asked)
    given = {**data, **asked.values}
    profile = given.get("IamInstanceProfile") or {}
    name = profile.get("Name") or profile.get("Arn", "").rpartition("/")[2]
    for resource in _resources(given, template):
        kind = resource.partition("/")[0]
        context = {
            "ec2:launchtemplate": asked.arn(f"launch-template/{template}") if template else None,
            "ec2:islaunchtemplateresource": str(bool(template) and OVERRIDES.get(kind) not in asked.values).lower(),
            **_request_tags(asked, kind),
        }
        account = "" if kind == "image" else asked.account
        yield asked.question(
            f"arn:aws:ec2:{asked.region}:{account}:{resource}",
            context={key: value for key, value in context.items() if value is not None},
        )
        if tags := _request_tags(asked, kind):
            yield asked.question(
                asked.arn(resource), action="CreateTags", context={"ec2:createaction": "RunInstances", **tags}
            )
    for role in _roles(asked, name):
        yield Question(action="iam:PassRole", resource=role, context={"iam:passedtoservice": "ec2.amazonaws.com"})


def _template(asked: Asked) -> tuple[str, Mapping[str, Any]]:
    """The id of the launch template and what its version says; nothing for a launch without one, or with one that
    does not exist, which the service refuses in its own words.
    """
    from moto.ec2.models import ec2_backends

    wanted = asked.values.get("LaunchTemplate") or {}
    backend = ec2_backends[asked.account][asked.region]
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


def _request_tags(asked: Asked, kind: str) -> dict[str, str]:
    return {
        f"aws:requesttag/{tag['Key'].lower()}": tag["Value"]
        for specification in asked.values.get("TagSpecifications") or ()
        if specification.get("ResourceType") == kind
        for tag in specification.get("Tags") or ()
    }


def _roles(asked: Asked, profile: str) -> Iterator[str]:
    """ARN of the role in a profile, which is passed on to the instance."""
    from localstack.services.iam.models import iam_stores

    store = iam_stores[asked.account][IAM_REGION]
    found = store.INSTANCE_PROFILES.get(profile)
    if found is not None and found.role_name in store.ROLES:
        yield store.ROLES[found.role_name].role["Arn"]
