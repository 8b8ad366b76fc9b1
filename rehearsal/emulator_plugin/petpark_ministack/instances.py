"""EC2 instances: they get everything in their launch template, and state changes are events.

- RunInstances takes from the template what the call does not say; tags of both count. MiniStack reads no template.
  https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
- Market, metadata options, shutdown behaviour and user data are read back. MiniStack shows none of them.
- DescribeInstances with the filter `instance-id` finds these alone. MiniStack ignores filters that it does not know.
- Every change of state is an "EC2 Instance State-change Notification" of `aws.ec2`. MiniStack sends none.
  https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-state-changes.html
"""

import json
import re
from functools import wraps
from typing import Any

INSTANCE = re.compile(r"<instanceId>(i-[0-9a-f]+)</instanceId>")
EMPTY = re.compile(r"<userData>.*</userData>|<userData\s*/>", re.DOTALL)
METADATA = ("HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint", "InstanceMetadataTags")


def apply() -> None:
    """Change MiniStack's EC2."""
    _keep_templates_as_given()
    _run_from_templates()
    _read_back()
    _filter_by_id()
    _publish_changes()


def _keep_templates_as_given() -> None:
    from ministack.services import ec2

    original = ec2._parse_lt_data

    @wraps(original)
    def parse(params: Any, prefix: Any = "LaunchTemplateData") -> Any:
        start = f"{prefix}."
        given = {name.removeprefix(start): value for name, value in params.items() if name.startswith(start)}
        return {**original(params, prefix), "petpark": given}

    ec2._parse_lt_data = parse


def _run_from_templates() -> None:
    from ministack.services import ec2

    original = ec2._ACTION_MAP["RunInstances"]

    @wraps(original)
    def run_instances(params: Any) -> Any:
        params = {**_of_template(ec2, params), **params}
        answer = original(params)
        for identifier in INSTANCE.findall(str(answer[2])):
            ec2._instances[identifier]["petpark"] = params
        return answer

    ec2._ACTION_MAP["RunInstances"] = run_instances


def _of_template(ec2: Any, params: Any) -> Any:
    wanted = ec2._p(params, "LaunchTemplate.LaunchTemplateId") or ec2._p(params, "LaunchTemplate.LaunchTemplateName")
    version = ec2._p(params, "LaunchTemplate.Version")
    for template in ec2._launch_templates.values():
        if wanted in (template["LaunchTemplateId"], template["LaunchTemplateName"]):
            number = {
                "": template["DefaultVersionNumber"],
                "$Default": template["DefaultVersionNumber"],
                "$Latest": template["LatestVersionNumber"],
            }.get(version, version)
            data = next(v for v in template["Versions"] if str(v["VersionNumber"]) == str(number))
            return _at_top_level(ec2, data["LaunchTemplateData"].get("petpark", {}), params)
    return {}


def _at_top_level(ec2: Any, given: Any, params: Any) -> Any:
    found = {name: value for name, value in given.items() if not name.startswith("TagSpecification.")}
    for name, value in given.items():
        if name.startswith("NetworkInterface.1.") and name.split(".")[2] in ("SubnetId", "SecurityGroupId"):
            found[name.removeprefix("NetworkInterface.1.")] = value
    tags = {**_instance_tags(ec2, given), **_instance_tags(ec2, params)}
    if tags:
        # MiniStack keeps only the last specification, so both become one after all that were given.
        last = 1 + sum(name.startswith("TagSpecification.") and name.endswith("ResourceType") for name in params)
        found[f"TagSpecification.{last}.ResourceType"] = ["instance"]
        for number, (key, value) in enumerate(tags.items(), 1):
            found[f"TagSpecification.{last}.Tag.{number}.Key"] = [key]
            found[f"TagSpecification.{last}.Tag.{number}.Value"] = [value]
    return found


def _instance_tags(ec2: Any, params: Any) -> Any:
    found, number = {}, 1
    while kind := ec2._p(params, f"TagSpecification.{number}.ResourceType"):
        tag = 1
        while kind == "instance" and (key := ec2._p(params, f"TagSpecification.{number}.Tag.{tag}.Key")):
            found[key] = ec2._p(params, f"TagSpecification.{number}.Tag.{tag}.Value")
            tag += 1
        number += 1
    return found


def _read_back() -> None:
    from ministack.services import ec2

    render, attribute = ec2._instance_xml, ec2._ACTION_MAP["DescribeInstanceAttribute"]

    @wraps(render)
    def instance_xml(instance: Any) -> Any:
        params, more = instance.get("petpark", {}), ""
        if ec2._p(params, "InstanceMarketOptions.MarketType") == "spot":
            more += "<instanceLifecycle>spot</instanceLifecycle>"
        options = {name: ec2._p(params, f"MetadataOptions.{name}") for name in METADATA}
        if any(options.values()):
            members = (f"<{n[0].lower()}{n[1:]}>{ec2._esc(v)}</{n[0].lower()}{n[1:]}>" for n, v in options.items() if v)
            more += f"<metadataOptions><state>applied</state>{''.join(members)}</metadataOptions>"
        return render(instance).rstrip().removesuffix("</item>") + more + "</item>"

    @wraps(attribute)
    def describe_instance_attribute(params: Any) -> Any:
        instance = ec2._instances.get(ec2._p(params, "InstanceId")) or {}
        behaviour = ec2._p(instance.get("petpark", {}), "InstanceInitiatedShutdownBehavior")
        status, headers, body = attribute(params)
        if instance.get("UserData") and ec2._p(params, "Attribute") == "userData":
            text = body.decode() if isinstance(body, bytes) else body
            value = f"<userData><value>{instance['UserData']}</value></userData>"
            return status, headers, EMPTY.sub(value, text).encode()
        if behaviour and ec2._p(params, "Attribute") == "instanceInitiatedShutdownBehavior":
            text = body.decode() if isinstance(body, bytes) else body
            body = text.replace("<value>stop</value>", f"<value>{ec2._esc(behaviour)}</value>").encode()
        return status, headers, body

    ec2._instance_xml = instance_xml
    ec2._ACTION_MAP["DescribeInstanceAttribute"] = describe_instance_attribute


def _filter_by_id() -> None:
    from ministack.services import ec2

    original = ec2._matches_filters

    @wraps(original)
    def matches_filters(instance: Any, filters: Any) -> Any:
        wanted = filters.get("instance-id")
        return (not wanted or instance["InstanceId"] in wanted) and original(instance, filters)

    ec2._matches_filters = matches_filters


def _publish_changes() -> None:
    from ministack.services import ec2, eventbridge

    def telling(original: Any) -> Any:
        @wraps(original)
        def call(params: Any) -> Any:
            before = {name: one["State"]["Name"] for name, one in ec2._instances.items()}
            answer = original(params)
            for name, one in list(ec2._instances.items()):
                if one["State"]["Name"] != before.get(name):
                    detail = json.dumps({"instance-id": name, "state": one["State"]["Name"]})
                    entry = {"Source": "aws.ec2", "DetailType": "EC2 Instance State-change Notification"}
                    eventbridge._put_events({"Entries": [{**entry, "Detail": detail}]}, allow_aws_source=True)
            return answer

        return call

    for action in ("RunInstances", "StartInstances", "StopInstances", "TerminateInstances"):
        ec2._ACTION_MAP[action] = telling(ec2._ACTION_MAP[action])
