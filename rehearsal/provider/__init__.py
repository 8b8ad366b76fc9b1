"""The AWS provider binary on this machine: found, or fetched from its publisher. See docs/design/setup.md."""
