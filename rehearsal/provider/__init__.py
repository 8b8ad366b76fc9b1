"""The AWS provider binary on this machine: found, or downloaded from its publisher. See docs/design/setup.md."""
