"""Buckets and keys: closed to the public, and not lost by accident."""

from collections.abc import Iterator

from infra.rules.documents import allowing, names_everybody
from infra.rules.resource import Resource
from infra.rules.rule import Context, Rule

_FLAGS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_CODE = "code/"
"""Where code bundles are in the workspace (`registry.layout`)."""

_BLOCK = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"


def _closed(resource: Resource, _context: Context) -> Iterator[str]:
    for flag in _FLAGS:
        if resource.get(flag) is not True:
            yield f"{flag} is not true"


def _has_block(resource: Resource, context: Context) -> Iterator[str]:
    if not context.stack.about(resource, "s3.BucketPublicAccessBlock", "bucket"):
        yield "has no BucketPublicAccessBlock"


def _not_public(resource: Resource, _context: Context) -> Iterator[str]:
    acl = resource.get("acl")
    if isinstance(acl, str) and (acl.startswith("public-") or acl == "authenticated-read"):
        yield f"has the access control list {acl}"
    for statement in allowing(resource.get("policy")):
        if names_everybody(statement):
            yield f"its policy allows everybody {statement.get('Action', 'everything')}"


def _protected(resource: Resource, context: Context) -> Iterator[str]:
    if not context.limits.protect_data:
        return
    if not resource.protect:
        yield "is not protected, and `pulumi destroy` or a replacement would delete it"
    if resource.get("forceDestroy") is True:
        yield "has forceDestroy: it would be deleted with everything in it"


def _retained(resource: Resource, _context: Context) -> Iterator[str]:
    key = resource.get("key")
    if isinstance(key, str) and key.startswith(_CODE) and resource.retain is False:
        yield "is not retained on delete: instances may still start from it, and versions name it as their origin"


RULES = (
    Rule(
        name="public-access-block",
        demands="A bucket's public access block has all four flags.",
        why="Together they make every public ACL and every public policy without effect.",
        source=_BLOCK,
        kinds=frozenset({"s3.BucketPublicAccessBlock", "s3.AccountPublicAccessBlock"}),
        each=_closed,
    ),
    Rule(
        name="bucket-has-public-access-block",
        demands="Each bucket has a public access block.",
        why="The account's default may be switched off by somebody who knows nothing of this bucket.",
        source=_BLOCK,
        kinds=frozenset({"s3.Bucket"}),
        each=_has_block,
        alone=False,
    ),
    Rule(
        name="bucket-not-public",
        demands="No ACL and no policy of a bucket lets everybody in.",
        why="Photos of people's pets, and models, would be on the internet.",
        source="https://docs.aws.amazon.com/securityhub/latest/userguide/s3-controls.html",
        kinds=frozenset({"s3.Bucket", "s3.BucketAcl", "s3.BucketPolicy", "s3.BucketObject"}),
        each=_not_public,
    ),
    Rule(
        name="data-protected",
        demands="Where petpark:protect_data is true, buckets and keys are protected and keep their contents.",
        why="Photos and certificates cannot be made again; without its key a bucket cannot be read.",
        source="https://www.pulumi.com/docs/iac/concepts/resources/options/protect/",
        kinds=frozenset({"s3.Bucket", "kms.Key"}),
        each=_protected,
    ),
    Rule(
        name="code-retained",
        demands="Code bundles stay when they are replaced and when the stack is destroyed.",
        why="An instance that boots late fetches the bundle of its launch template; versions name theirs.",
        source="https://www.pulumi.com/docs/iac/concepts/resources/options/retainondelete/",
        kinds=frozenset({"s3.BucketObject"}),
        each=_retained,
    ),
)
