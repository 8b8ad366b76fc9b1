"""The recorded predictions as a table that Athena queries in place."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.storage import athena


@dataclass(frozen=True, kw_only=True)
class TelemetryTableArgs:
    """Where the files are, and for how long."""

    data_lake: pulumi.Input[str]
    """Name of the bucket."""
    days: int
    """Days that files are kept."""


class TelemetryTable(Component):
    """A Glue database with one table; queries cost by the data that they read, the catalog nothing.

    https://aws.amazon.com/glue/pricing: the first million objects of a catalog are free.
    """

    def __init__(self, name: str, args: TelemetryTableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.database = aws.glue.CatalogDatabase(
            **self.child("database"),
            name=athena.database_name(pulumi.get_project(), pulumi.get_stack()),
            description="Recorded predictions of all endpoints",
            tags=self.tags,
        )
        self.table = self._create_table(pulumi.Output.from_input(args.data_lake), args.days)
        self.register_outputs({"database": self.database.name, "table": self.table.name})

    def _create_table(self, bucket: pulumi.Output[str], days: int) -> aws.glue.CatalogTable:
        return aws.glue.CatalogTable(
            **self.child("table"),
            name=athena.TABLE,
            database_name=self.database.name,
            description="One row for each recorded prediction: docs/design/telemetry.md",
            table_type="EXTERNAL_TABLE",
            parameters=bucket.apply(lambda name: athena.table_parameters(name, days)),
            partition_keys=[
                aws.glue.CatalogTablePartitionKeyArgs(name=key["name"], type=key["type"], comment=key["comment"])
                for key in athena.partition_keys()
            ],
            storage_descriptor=aws.glue.CatalogTableStorageDescriptorArgs(
                location=bucket.apply(athena.location),
                input_format=athena.INPUT_FORMAT,
                output_format=athena.OUTPUT_FORMAT,
                ser_de_info=aws.glue.CatalogTableStorageDescriptorSerDeInfoArgs(serialization_library=athena.SERDE),
                columns=[
                    aws.glue.CatalogTableStorageDescriptorColumnArgs(
                        name=column["name"], type=column["type"], comment=column["comment"]
                    )
                    for column in athena.columns()
                ],
            ),
        )
