"""Who may assume a role."""

from collections.abc import Iterable

from infra.policies.statements import Document, document


def trust_service(service: str) -> Document:
    """Allow an AWS service to assume the role."""
    return document([{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}])


GITHUB = "token.actions.githubusercontent.com"
"""Who signs the tokens of GitHub's workflows: https://docs.github.com/en/actions/reference/security/oidc."""
AUDIENCE = "sts.amazonaws.com"


def trust_github(provider: str, repository: str, subjects: Iterable[str]) -> Document:
    """Let workflow jobs of a repository assume the role; `provider` is the ARN of the account's provider for `GITHUB`.

    A subject is `environment:NAME` for a job that runs in an environment, else `ref:refs/heads/NAME` or
    `pull_request`. All are compared as they are: a pattern could match the names of others' repositories.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
    """
    named = [f"repo:{repository}:{subject}" for subject in subjects]
    return document(
        [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Principal": {"Federated": provider},
                "Condition": {"StringEquals": {f"{GITHUB}:aud": AUDIENCE, f"{GITHUB}:sub": named}},
            }
        ]
    )


def trust_people(account: str, others: Iterable[str] = ()) -> Document:
    """Let people of the account, and of `others`, assume the role under their own names, if their policies allow it.

    A user's session is called as the user is. Who is in a role already, as people signed in through an identity
    provider are, keeps the name of that session; so it is worth what that role's own trust makes of it. `aws:userid`
    of a session is `<role id>:<session name>`; `aws:username` exists for users alone, and a condition on what does not
    exist never holds.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#ck_rolesessionname
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
    """
    roots = [f"arn:aws:iam::{each}:root" for each in (account, *sorted(set(others)))]
    take = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": roots if len(roots) > 1 else roots[0]},
    }
    by_user = {"StringEquals": {"sts:RoleSessionName": "${aws:username}"}}
    by_session = {"Null": {"aws:username": "true"}, "StringLike": {"aws:userid": "*:${sts:RoleSessionName}"}}
    return document(
        [
            {"Sid": "UsersByTheirName", **take, "Condition": by_user},
            {"Sid": "SessionsByTheirOwnName", **take, "Condition": by_session},
        ]
    )
