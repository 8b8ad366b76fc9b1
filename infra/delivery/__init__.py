"""What an account needs before GitHub may deploy petpark into it: an own Pulumi project, docs/design/delivery.md."""
