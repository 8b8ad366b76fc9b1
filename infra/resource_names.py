"""The names of a platform's parts before they are known: `policies.Places` as outputs."""

from dataclasses import dataclass

import pulumi

from infra.policies import ResourceNames


@dataclass(frozen=True, kw_only=True)
class ResourceNameOutputs:
    """Bucket names and key ARNs of the platform that a stack uses, its own or another's."""

    model: str
    model_store: pulumi.Output[str]
    data_lake: pulumi.Output[str]
    workspace: pulumi.Output[str]
    encryption_key: pulumi.Output[str]
    signing_key: pulumi.Output[str]

    def resolved(self) -> pulumi.Output[ResourceNames]:
        """The same, for the pure functions that decide over names."""
        return pulumi.Output.all(
            model=self.model,
            model_store=self.model_store,
            data_lake=self.data_lake,
            workspace=self.workspace,
            encryption_key=self.encryption_key,
            signing_key=self.signing_key,
        ).apply(lambda names: ResourceNames(**names))
