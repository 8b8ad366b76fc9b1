"""Names that `infra` shares with the code: environment variables, object keys, and which role may write where.

Nothing here knows a cloud or a library: `infra` derives permissions from these modules, `registry`, `training` and
`serving` derive keys from them, so a key cannot be written where no role may write it.
"""
