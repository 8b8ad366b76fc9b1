"""CloudTrail trails: named by ARN, and on buckets and topics that exist here.

- StartLogging, StopLogging and DeleteTrail take a name or an ARN. moto knows the name only, and deletes nothing,
  without a word, when it gets an ARN.
- A trail's bucket must exist. moto looks for it in its own S3, but LocalStack keeps S3 in a store of its own.
"""

from functools import wraps


def apply() -> None:
    """Mend moto's trails."""
    from localstack.services.s3.models import s3_stores
    from moto.cloudtrail.exceptions import S3BucketDoesNotExistException
    from moto.cloudtrail.models import CloudTrailBackend, Trail

    def by_name(original):
        @wraps(original)
        def operation(self, name):
            return original(self, name.rsplit("/", 1)[-1])

        return operation

    for operation in ("start_logging", "stop_logging", "delete_trail"):
        setattr(CloudTrailBackend, operation, by_name(getattr(CloudTrailBackend, operation)))

    def check_bucket_exists(self):
        if self.bucket_name not in s3_stores[self.account_id][self.region_name].global_bucket_map:
            raise S3BucketDoesNotExistException(f"S3 bucket {self.bucket_name} does not exist!")

    Trail.check_bucket_exists = check_bucket_exists
    Trail.check_topic_exists = lambda _: None  # topics are LocalStack's; petpark's trails notify nobody
