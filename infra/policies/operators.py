"""What people and pipelines may do, by the role in which they act."""

from collections.abc import Iterable

from infra.policies.resource_names import ResourceNames
from infra.policies.statements import (
    Document,
    add,
    allow,
    bucket_arn,
    create,
    create_like,
    delete,
    document,
    inspect,
    read,
    read_below,
    read_metrics,
    read_sources,
    use_key,
    verify,
)
from registry.layout.data_lake import DATASETS, LABELS, PHOTOS, REPORTS
from registry.layout.jobs import JOBS
from registry.layout.roles import Role, creates, deletes, reads
from registry.layout.workspace import STUDIES
from registry.telemetry import TELEMETRY


def operator(role: Role, places: ResourceNames, photo_sources: Iterable[str] = ()) -> Document:
    """What a person or pipeline acting as `role` may do.

    `photo_sources` are places outside of petpark that photos are ingested from: `bucket` or `bucket/prefix`.
    """
    statements = [
        *read_below(places.model_store, reads(role, places.model)),
        # An audit compares the registry with every revision that the bucket holds, not only the latest.
        allow(["s3:ListBucketVersions"], [bucket_arn(places.model_store)]),
        *create_like(places.model_store, creates(role, places.model)),
        *delete(places.model_store, deletes(role, places.model)),
        use_key(places.encryption_key, writes=bool(creates(role, places.model))),
    ]
    match role:
        case Role.PUBLISHER:
            statements += [
                *read(places.data_lake),
                *create(places.data_lake, (PHOTOS, DATASETS, REPORTS)),
                *read(places.workspace),
                *create(places.workspace, (JOBS, STUDIES)),
                *read_sources(photo_sources),
            ]
        case Role.CERTIFIER:
            statements += [
                allow(["kms:Sign"], [places.signing_key]),
                verify(places.signing_key),
                # The labels of recorded predictions: docs/design/labels.md
                *read_below(places.data_lake, (TELEMETRY, LABELS)),
                add(places.data_lake, (LABELS,)),
            ]
        case Role.PROMOTER:
            statements += [verify(places.signing_key)]
        case Role.READER:
            statements += [verify(places.signing_key), inspect(places.model_store), read_metrics()]
        case Role.COLLECTOR | Role.REPAIRER:
            pass
    return document(statements)
