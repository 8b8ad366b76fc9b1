"""What the keys themselves allow and refuse."""

from infra.policies.statements import Document, document, refuse


def signing_key(account: str, certifier: str) -> Document:
    """Leave the key to the account's policies, but signing to the certifier alone, even against an administrator."""
    everyone = {"AWS": f"arn:aws:iam::{account}:root"}
    return document(
        [
            {"Sid": "Account", "Effect": "Allow", "Principal": everyone, "Action": "kms:*", "Resource": "*"},
            refuse("OnlyTheCertifierSigns", ["kms:Sign"], ["*"], {"ArnNotEquals": {"aws:PrincipalArn": certifier}}),
        ]
    )
