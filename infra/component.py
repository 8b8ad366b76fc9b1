"""What all components have in common: a type token, names under their own, tags, and documents made of outputs."""

from collections.abc import Callable
from typing import Any, ClassVar, TypedDict

import pulumi

from infra.policies import Document, as_json


class Child(TypedDict):
    """The arguments that make a resource a component's child."""

    resource_name: str
    opts: pulumi.ResourceOptions


class Component(pulumi.ComponentResource):
    """A part of petpark. Its type token is `petpark:infra:<type_name>`; children are named `<name>-<part>`.

    `type_name` is the class's name unless the class states another: URNs contain it, so a renamed class keeps the name
    with which deployed stacks were made.

    Children take `**self.child("part")`, which gives them their name and this component as parent, so that a name
    outside the component's own cannot be spelled.
    """

    type_name: ClassVar[str] = ""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"petpark:infra:{self.type_name or type(self).__name__}", name, None, opts)
        self.name = name

    def child(self, part: str, opts: pulumi.ResourceOptions | None = None) -> Child:
        """Name and options of the child `part`."""
        options = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(parent=self), opts)
        return {"resource_name": f"{self.name}-{part}", "opts": options}

    @property
    def tags(self) -> dict[str, str]:
        """Tags of everything that the component makes."""
        return {
            "petpark:project": pulumi.get_project(),
            "petpark:stack": pulumi.get_stack(),
            "petpark:component": self.name,
        }

    def tagged(self, part: str) -> dict[str, str]:
        """The tags, with a name for people who look at the console."""
        return {**self.tags, "Name": f"{pulumi.get_project()}-{pulumi.get_stack()}-{self.name}-{part}"}


def document(decide: Callable[..., Document], **inputs: pulumi.Input[Any]) -> pulumi.Output[str]:
    """JSON of what a pure function decides from values that may only be known during the deployment."""
    return pulumi.Output.all(**inputs).apply(lambda values: as_json(decide(**values)))
