"""The load balancer before real (rehearsed) instances of an Auto Scaling group, in the real emulator."""

import base64
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from rehearsal.emulator import Emulator
from rehearsal.instances import InstanceEvent, InstanceRunner
from rehearsal.load_balancer import LoadBalancer

pytestmark = pytest.mark.rehearsal

TIMEOUT_SECONDS = 60.0
NAME = "behind-a-balancer"
SERVER = b"""#!/bin/bash
cat > $PETPARK_HOME/server.py <<'END'
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_GET = do_POST

ThreadingHTTPServer((os.environ["PETPARK_HOST"], 8080), Handler).serve_forever()
END
systemd-run --unit=server --property=Restart=always python3 $PETPARK_HOME/server.py
"""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {TIMEOUT_SECONDS:.0f} s"
        time.sleep(0.02)


@pytest.fixture
def load_balancer_arn(emulator: Emulator) -> Iterator[str]:
    """Two instances of a group behind a listener."""
    ec2, elbv2, autoscaling = (emulator.client(name) for name in ("ec2", "elbv2", "autoscaling"))
    vpc = ec2.create_vpc(CidrBlock="10.88.0.0/16")["Vpc"]["VpcId"]
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"][:2]]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.88.{number}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for number, zone in enumerate(zones, start=1)
    ]
    group = elbv2.create_target_group(
        Name=NAME, Protocol="HTTP", Port=8080, VpcId=vpc, HealthCheckPath="/", TargetType="instance"
    )["TargetGroups"][0]["TargetGroupArn"]
    balancer = elbv2.create_load_balancer(Name=NAME, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    action = {"Type": "forward", "TargetGroupArn": group}
    elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=[action])
    data = {"ImageId": "ami-12345678", "InstanceType": "t3.micro", "UserData": base64.b64encode(SERVER).decode()}
    ec2.create_launch_template(LaunchTemplateName=NAME, LaunchTemplateData=data)
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=NAME,
        MinSize=2,
        MaxSize=2,
        VPCZoneIdentifier=",".join(subnets),
        LaunchTemplate={"LaunchTemplateName": NAME},
        TargetGroupARNs=[group],
    )
    yield balancer
    autoscaling.delete_auto_scaling_group(AutoScalingGroupName=NAME, ForceDelete=True)


def test_an_instance_is_replaced_under_load_and_no_request_is_lost(
    emulator: Emulator, load_balancer_arn: str, tmp_path: Path
) -> None:
    balancers: list[LoadBalancer] = []

    def on_event(event: InstanceEvent) -> None:
        if event.kind == "shutting-down":
            for one in balancers:
                one.drain(event.instance_id)

    with (
        InstanceRunner(emulator, tmp_path, python=Path(sys.executable), on_event=on_event, grace_seconds=0.5) as runner,
        LoadBalancer(emulator, load_balancer_arn=load_balancer_arn, resolve=runner.address) as balancer,
        ThreadPoolExecutor(4) as pool,
    ):
        balancers.append(balancer)
        wait_until(lambda: len(healthy(balancer)) == 2, "health of both")
        done = threading.Event()
        try:
            clients = [pool.submit(hammer, balancer.url, done) for _ in range(4)]
            first = min(healthy(balancer))
            emulator.client("ec2").terminate_instances(InstanceIds=[first])
            runner.wait_for(first, "terminated", TIMEOUT_SECONDS)
            wait_until(lambda: len(healthy(balancer) - {first}) == 2, "health of the replacement")
        finally:
            done.set()
        assert set(sum((one.result(TIMEOUT_SECONDS) for one in clients), Counter[int]())) == {200}
        balancers.clear()


def healthy(balancer: LoadBalancer) -> set[str]:
    return {target.instance_id for target in balancer.targets() if target.health == "healthy"}


def hammer(url: str, done: threading.Event) -> Counter[int]:
    """Post photos until told to end; how often each status was answered."""
    seen: Counter[int] = Counter()
    with httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as http:
        while not done.is_set():
            seen[http.post(url, content=b"photo").status_code] += 1
    return seen
