"""A sample of the predictions, recorded as Parquet files in the data lake: docs/design/telemetry.md."""
