"""Patches, a module per AWS service: what LocalStack does otherwise than AWS, or not at all."""
