"""The rules as a policy pack of Pulumi: `pulumi preview --policy-pack infra/crossguard`."""
