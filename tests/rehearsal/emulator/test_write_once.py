"""The model store's bucket policy holds: objects are created once, and only the collector deletes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from rehearsal.emulator import Emulator
from tests.rehearsal.emulator.conftest import ACCOUNT, Assume, allow, deny, document, refusal, session_client

Client = Callable[[str], Any]
PART = b"x" * 5 * 2**20


@pytest.fixture
def store(client: Client, bucket: str, name: str) -> str:
    """A bucket with petpark's write-once policy; the test's role is the collector."""
    everything = f"arn:aws:s3:::{bucket}/*"
    create_only = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
    collector = {"ArnNotEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/{name}"}}
    policy = document(
        deny("s3:PutObject", everything, Principal="*", Condition=create_only),
        deny(["s3:DeleteObject", "s3:DeleteObjectVersion"], everything, Principal="*", Condition=collector),
        deny("s3:*", everything, Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}}),
    )
    client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
    return bucket


@pytest.fixture
def writer(assume: Assume) -> Any:
    """S3 for a role whose own policy allows everything."""
    return assume(allow("s3:*"), suffix="-writer")("s3")


def test_a_plain_write_is_refused_and_a_conditional_one_happens_once(writer: Any, store: str) -> None:
    assert refusal(writer.put_object, Bucket=store, Key="k", Body=b"1") == "AccessDenied"
    writer.put_object(Bucket=store, Key="k", Body=b"1", IfNoneMatch="*")
    assert refusal(writer.put_object, Bucket=store, Key="k", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert writer.get_object(Bucket=store, Key="k")["Body"].read() == b"1"


def test_not_even_the_administrator_writes_plainly_or_deletes(client: Client, store: str) -> None:
    s3 = client("s3")
    assert refusal(s3.put_object, Bucket=store, Key="k", Body=b"1") == "AccessDenied"
    s3.put_object(Bucket=store, Key="k", Body=b"1", IfNoneMatch="*")
    assert refusal(s3.delete_object, Bucket=store, Key="k") == "AccessDenied"


def test_of_all_who_create_an_object_at_once_one_does(writer: Any, bucket: str) -> None:
    def create(number: int) -> str:
        return refusal(writer.put_object, Bucket=bucket, Key="k", Body=str(number).encode(), IfNoneMatch="*")

    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(create, range(16)))
    assert codes.count("") == 1
    assert set(codes) <= {"", "PreconditionFailed", "ConditionalRequestConflict"}
    assert writer.get_object(Bucket=bucket, Key="k")["Body"].read() == str(codes.index("")).encode()


def test_parts_are_exempt_and_their_completion_is_not(writer: Any, store: str) -> None:
    upload = writer.create_multipart_upload(Bucket=store, Key="big")["UploadId"]
    part = writer.upload_part(Bucket=store, Key="big", UploadId=upload, PartNumber=1, Body=PART)
    completion = {
        "Bucket": store,
        "Key": "big",
        "UploadId": upload,
        "MultipartUpload": {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]},
    }
    assert refusal(writer.complete_multipart_upload, **completion) == "AccessDenied"
    assert refusal(writer.complete_multipart_upload, **completion, IfNoneMatch="*") == ""


def test_copying_over_an_object_is_refused(writer: Any, store: str) -> None:
    writer.put_object(Bucket=store, Key="k", Body=b"1", IfNoneMatch="*")
    assert refusal(writer.copy_object, Bucket=store, Key="k2", CopySource=f"{store}/k") == "AccessDenied"


def test_only_the_collector_deletes(assume: Assume, writer: Any, store: str) -> None:
    writer.put_object(Bucket=store, Key="k", Body=b"1", IfNoneMatch="*")
    collector = assume(allow("s3:DeleteObject", f"arn:aws:s3:::{store}/*"))("s3")
    assert refusal(writer.delete_object, Bucket=store, Key="k") == "AccessDenied"
    assert refusal(writer.delete_objects, Bucket=store, Delete={"Objects": [{"Key": "k"}]}) == "AccessDenied"
    assert refusal(collector.delete_object, Bucket=store, Key="k") == ""


def test_a_signed_url_opens_its_own_object_and_no_other(
    client: Client, emulator: Emulator, bucket: str, name: str
) -> None:
    for key in ("a", "b"):
        client("s3").put_object(Bucket=bucket, Key=key, Body=key.encode())
    client("iam").create_user(UserName=name)
    reads = document(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    client("iam").put_user_policy(UserName=name, PolicyName="p", PolicyDocument=reads)
    user = session_client(emulator, "s3", client("iam").create_access_key(UserName=name)["AccessKey"])
    url = user.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"}, ExpiresIn=60)
    assert httpx.get(url, timeout=10).content == b"a"
    for forged in (url.replace(f"/{bucket}/a?", f"/{bucket}/b?"), url.partition("?")[0]):
        assert httpx.get(forged, timeout=10).status_code == 403


def test_a_bucket_policy_lets_in_whom_it_names(client: Client, assume: Assume, bucket: str, name: str) -> None:
    client("s3").put_object(Bucket=bucket, Key="a", Body=b"a")
    s3 = assume()("s3")
    assert refusal(s3.get_object, Bucket=bucket, Key="a") == "AccessDenied"
    reader = {"AWS": f"arn:aws:iam::{ACCOUNT}:role/{name}"}
    policy = document(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal=reader))
    client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
    assert refusal(s3.get_object, Bucket=bucket, Key="a") == ""
