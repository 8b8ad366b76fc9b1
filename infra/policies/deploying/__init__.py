"""What workflows may do that preview or deploy a stack: the calls that the AWS provider makes, and no others.

A recorded deployment of both stacks lists these calls (tests/rehearsal/test_stacks.py). Resources are limited by
name where AWS lets the program choose it, and by the tag `petpark:stack`: where two stacks share an account, the
role of one cannot change what has the other's tag. S3 has no such condition, but only one stack has buckets.
"""
