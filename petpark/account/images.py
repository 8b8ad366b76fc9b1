"""The public parameters of the newest machine images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from petpark.account.cloud import Account
from petpark.doctor import Check, Health

if TYPE_CHECKING:
    from infra.configuration.settings import StackSettings


def check(account: Account, settings: "StackSettings") -> Sequence[Check]:
    """A check for each machine image: AWS publishes them separately in each region."""
    types = {settings.endpoint.instance_type}
    if settings.platform_stack is None:
        types.update(settings.training.instance_types)
    wanted = sorted({type_.image_parameter for type_ in types})
    answer = account.call("ssm", "get_parameters", Names=wanted)
    found = {parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]}
    return [_image(account.region, parameter, found.get(parameter)) for parameter in wanted]


def _image(region: str, parameter: str, image: str | None) -> Check:
    name = f"machine image: {parameter.removeprefix('/aws/service/')}"
    if image:
        return Check(name=name, health=Health.FINE, found=image)
    found = f"{region} has no such public parameter"
    fix = f"another region, or another type: aws ssm get-parameter --name {parameter} --region {region}"
    return Check(name=name, health=Health.MISSING, found=found, fix=fix)
