"""What commands act on: an AWS account or a local rehearsal, and the credentials for it."""
