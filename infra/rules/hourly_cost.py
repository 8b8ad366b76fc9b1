"""What the stack's instances cost in an hour, at most."""

from collections.abc import Iterator

from infra.rules.instances import running
from infra.rules.resource import Undecided
from infra.rules.rule import Context, Rule


def _hour(context: Context) -> Iterator[str]:
    limits = context.limits
    total = 0.0
    unpriced: set[str] = set()
    for each in running(context):
        if not each.types:
            yield "runs instances whose type is stated nowhere"
        found = {name: limits.hour(name) for name in each.types}
        unpriced |= {name for name, price in found.items() if price is None}
        # Of several types the dearest counts: EC2 may have capacity for no other.
        total += each.most * max((price for price in found.values() if price is not None), default=0.0)
    if total > limits.hourly_usd:
        yield (
            f"its instances may cost {total:.2f} USD an hour on demand; "
            f"petpark:allowed_hourly_usd is {limits.hourly_usd:g}"
        )
    elif unpriced:
        raise Undecided(f"no price is known for {', '.join(sorted(unpriced))}: petpark prices refresh adds it")


RULES = (
    Rule(
        name="hourly-cost",
        demands="All instances that may run at once cost at most petpark:allowed_hourly_usd in an hour.",
        why="A bill is seen a month later; a type or a number in a review can be seen now.",
        source="https://aws.amazon.com/ec2/pricing/on-demand/",
        whole=_hour,
    ),
)
