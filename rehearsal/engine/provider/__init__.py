"""The AWS provider: its binary, its schemas, and calls in Terraform's plugin protocol 5."""
