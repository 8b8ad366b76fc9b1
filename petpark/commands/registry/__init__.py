"""Commands about model versions: `models`, `certify`, `promote`, `rollback`, `test`."""
