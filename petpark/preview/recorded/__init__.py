"""A plan from the last recorded state of a stack, without account, credentials and CLI. See docs/design/preview.md."""
