"""A load balancer in place of AWS's: forwards to what the emulator's listener and target groups declare."""

from rehearsal.load_balancer.balancer import LoadBalancer, PortInUse, TargetStatus
from rehearsal.load_balancer.routes import NotRehearsed

__all__ = ["LoadBalancer", "NotRehearsed", "PortInUse", "TargetStatus"]
