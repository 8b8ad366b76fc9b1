"""What the keys' own policies allow and deny."""

from infra.policies.statements import Accounts, Document, Statement, document, let_endpoints_in, refuse

_THROUGH_S3 = {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}}


def encryption_key(account: str, accounts: Accounts) -> Document:
    """Leave the key to the account's IAM policies, and let endpoints in other accounts decrypt what S3 gives them.

    Without other accounts this is, to the letter, what KMS gives to a key without a policy.
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
    """
    others = let_endpoints_in("EndpointsDecrypt", accounts, ["kms:Decrypt"], ["*"], _THROUGH_S3)
    return {**document([_leave_to("Enable IAM User Permissions", account), *others]), "Id": "key-default-1"}


def signing_key(account: str, certifier: str, accounts: Accounts) -> Document:
    """Leave the key to the account's IAM policies, but let only the certifier sign, not even an administrator.

    Endpoints in other accounts may verify.
    """
    return document(
        [
            _leave_to("Account", account),
            refuse("OnlyTheCertifierSigns", ["kms:Sign"], ["*"], {"ArnNotEquals": {"aws:PrincipalArn": certifier}}),
            *let_endpoints_in("EndpointsVerify", accounts, ["kms:GetPublicKey", "kms:Verify"], ["*"]),
        ]
    )


def _leave_to(sid: str, account: str) -> Statement:
    everyone = {"AWS": f"arn:aws:iam::{account}:root"}
    return {"Sid": sid, "Effect": "Allow", "Principal": everyone, "Action": "kms:*", "Resource": "*"}
