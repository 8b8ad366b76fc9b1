"""Who the caller is, and whether the credentials work in the region."""

from dataclasses import dataclass

from petpark.account.cloud import Account, Unchecked
from petpark.doctor import Check, Health


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whose credentials these are."""

    account: str
    arn: str


def check(account: Account) -> tuple[Caller | None, Check]:
    """The caller, or None without credentials, and the check to show."""
    name = "credentials"
    try:
        found = account.call("sts", "get_caller_identity")
    except Unchecked as error:
        step = (
            "aws configure (or: aws sso login); if they work elsewhere, the region may not be enabled: "
            f"aws account enable-region --region-name {account.region}"
        )
        return None, Check(name=name, health=Health.MISSING, found=f"{account.region}: {error.reason}", fix=step)
    caller = Caller(account=found["Account"], arn=found["Arn"])
    return caller, Check(
        name=name, health=Health.FINE, found=f"account {caller.account} in {account.region} as {caller.arn}"
    )
