"""The table of recorded predictions as Athena needs it: columns, and partitions that no crawler has to find."""

from collections.abc import Sequence
from typing import Final

from registry.telemetry import COLUMNS, PARTITIONS, ROOT, Column

INPUT_FORMAT: Final = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
OUTPUT_FORMAT: Final = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
SERDE: Final = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
"""https://docs.aws.amazon.com/athena/latest/ug/parquet-serde.html"""

TABLE: Final = "predictions"


def database_name(project: str, stack: str) -> str:
    """Returns a name of lower-case letters, digits and underscores, which queries need not quote.

    https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html
    """
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in f"{project}_{stack}".lower())


def location(bucket: str) -> str:
    """Where all files are."""
    return f"s3://{bucket}/{ROOT}"


def columns() -> list[dict[str, str]]:
    """The columns in the files, as the Glue catalog takes them."""
    return _columns(COLUMNS)


def partition_keys() -> list[dict[str, str]]:
    """The columns in the keys."""
    return _columns(PARTITIONS)


def table_parameters(bucket: str, days: int) -> dict[str, str]:
    """Partition projection: Athena computes the prefixes that a query needs, for dates of the last `days`.

    Stack and camera are `injected`: their values are not known here, so a query must state them (`WHERE stack = …`).
    https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html
    """
    template = "".join(f"{key.name}=${{{key.name}}}/" for key in PARTITIONS)
    return {
        "classification": "parquet",
        "EXTERNAL": "TRUE",
        "projection.enabled": "true",
        "projection.stack.type": "injected",
        "projection.camera.type": "injected",
        "projection.date.type": "date",
        "projection.date.format": "yyyy-MM-dd",
        "projection.date.range": f"NOW-{days}DAYS,NOW",
        "projection.hour.type": "integer",
        "projection.hour.range": "0,23",
        "projection.hour.digits": "2",
        "storage.location.template": f"{location(bucket)}{template}",
    }


def _columns(declared: Sequence[Column]) -> list[dict[str, str]]:
    return [{"name": each.name, "type": each.kind.value, "comment": each.meaning} for each in declared]
