"""The code bundle, uploaded: what this stack's instances run."""

from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.instances import code_bundle
from infra.instances.user_data import Bundle
from registry.layout.workspace import code_key

_BUILT = Path("build")


@dataclass(frozen=True, kw_only=True)
class CodeArgs:
    """Where the bundle goes."""

    workspace: pulumi.Input[str]


class Code(Component):
    """The bundle of this checkout, stored under the stack and the bundle's hash.

    Pulumi runs a program in its project's folder, so relative paths are the repository's. An old bundle stays when a
    new one is uploaded and when the stack goes: instances may still start from it, and versions name it as origin.
    """

    def __init__(self, name: str, args: CodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        path, self.sha256 = code_bundle.build(Path(), _BUILT)
        self.object = aws.s3.BucketObjectv2(
            **self.child("bundle", pulumi.ResourceOptions(retain_on_delete=True)),
            bucket=args.workspace,
            key=code_key(pulumi.get_stack(), self.sha256),
            source=pulumi.FileAsset(str(path)),
            tags=self.tags,
        )
        self.register_outputs({"sha256": self.sha256})

    @property
    def bundle(self) -> pulumi.Output[Bundle]:
        """Where an instance finds the bundle; known when it is there."""
        return pulumi.Output.all(bucket=self.object.bucket, key=self.object.key).apply(
            lambda where: Bundle(bucket=where["bucket"], key=where["key"], sha256=self.sha256)
        )
