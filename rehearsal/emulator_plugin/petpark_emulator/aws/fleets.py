"""EC2 Fleet: instances as whole as those of RunInstances.

AWS starts a fleet's instances from the launch template and a pool's override: with the template's profile, firewall,
metadata options and shutdown behaviour, in the override's subnet, as one-time requests where they are spot. moto gives
them type, image, user data and tags only, and takes the pool with the lowest bid. Here the pool of the highest priority
has capacity.
"""

from typing import Any


def apply() -> None:
    """Make fleets launch instances with RunInstances. Apply after the patches of launch templates and instances."""
    from moto.ec2.models.fleets import Fleet

    fleet: Any = Fleet
    fleet.create_spot_requests = _launching("spot")
    fleet.create_on_demand_requests = _launching("on-demand")
    fleet.instances = property(_instances)


def _launching(market: str) -> Any:
    def launch(self: Any, count: float) -> list[Any]:
        pool = min(self.launch_specs, key=lambda each: float((each.overrides or {}).get("Priority") or 0))
        template = pool.launch_template_spec
        reservation = self.ec2_backend.run_instances(
            image_id=pool.image_id,
            count=int(count),
            user_data=pool.user_data,
            security_group_names=[],
            instance_type=pool.instance_type,
            is_instance_type_default=False,
            region_name=self.ec2_backend.region_name,
            subnet_id=pool.subnet_id,
            tags=pool.tag_specifications,
            fleet_id=self.id,
            launch_template={"LaunchTemplateId": template["LaunchTemplateId"], "Version": template.get("Version")},
        )
        for instance in reservation.instances:
            if market == "spot":
                instance.lifecycle = "spot"
            self.on_demand_instances.append({"id": reservation.id, "instance": instance, "launch_spec": pool})
        self.fulfilled_capacity += count
        return []

    return launch


def _instances(fleet: Any) -> list[dict[str, Any]] | None:
    """What CreateFleet answers; nothing for fleets that are not `instant`."""
    if fleet.fleet_type != "instant":
        return None
    return [
        fleet._build_instance_data(
            instance=each["instance"],
            lifecycle=getattr(each["instance"], "lifecycle", None) or "on-demand",
            launch_spec=each["launch_spec"],
        )
        for each in fleet.on_demand_instances
    ]
