"""Rollback of the followed channel from the page Models, with the operator's own permissions.

An endpoint's role must not move a channel. So the request contains credentials of the deciding person; they are used
for this request only, to assume the promoter's role under that person's name, and not stored.
"""

import asyncio
import ipaddress
import logging
import re
from collections.abc import Callable
from typing import Annotated, Any, Protocol, Self, cast

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from registry.certificates.certificate import Certificates, KmsVerifier
from registry.channels.channel import Channel, ChannelEntry
from registry.channels.promotion import PromotionService
from registry.errors import KeyUnavailable, MoverRefused, RegistryError, StoreRefused, StoreUnavailable
from registry.identity import session_name
from registry.logs.chain_memory import ChainMemory
from registry.store.s3_store import S3Store
from registry.versions.catalog import Catalog
from serving.auth.api_key_auth import Caller
from serving.http.body import Bodies
from serving.problems import CONFLICT, FORBIDDEN, NOT_FOUND, TOO_LARGE, UNREADABLE, UPSTREAM, Problem
from serving.settings import ServingSettings

logger = logging.getLogger(__name__)

BODY_BYTES = 16 * 1024
"""Maximum size of a rollback's body in bytes."""
WHY = 500
"""Maximum length of a reason in characters."""
_SECONDS = 900
"""The shortest session that STS allows."""
_AWS = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """The output of `aws configure export-credentials`. Secrets are not part of `repr`."""

    access_key_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    secret_access_key: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    session_token: Annotated[str, msgspec.Meta(max_length=8192)] | None = None

    @property
    def usable(self) -> bool:
        """Whether they are valid in an HTTP header: visible ASCII. Otherwise boto3 would report a connection error."""
        values = (self.access_key_id, self.secret_access_key, self.session_token or "-")
        return all(re.fullmatch(r"[!-~]+", value) for value in values)

    def __repr__(self) -> str:
        """Returns the key id without secrets."""
        return f"Credentials(access_key_id={self.access_key_id!r})"


class RollBack(msgspec.Struct, frozen=True, kw_only=True):
    """A rollback request."""

    expected: Annotated[int, msgspec.Meta(ge=1, description="Number of the channel entry that the decision rests on")]
    to: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="A version that was active before; default: the previous one"),
    ] = None
    why: Annotated[str, msgspec.Meta(min_length=1, max_length=WHY)]
    credentials: Annotated[
        Credentials,
        msgspec.Meta(description="The operator's own, used once and kept nowhere: aws configure export-credentials"),
    ]

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Returns the parsed request. Strict. Raises `Problem` (422), which quotes nothing that may be secret."""
        try:
            request_body = msgspec.json.decode(body, type=cls)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            request_body = None
        if request_body is None or not request_body.why.strip() or not request_body.credentials.usable:
            raise Problem(UNREADABLE, "The body does not match the schema in /docs.")
        return request_body


class OpensPromotionService(Protocol):
    """Returns a promotion service for a caller's credentials, with the ARN that the caller acts as."""

    def __call__(self, credentials: Credentials) -> tuple[PromotionService, str]:
        """Raises `Problem` (403, 502)."""
        ...


class RollBackApi:
    """`open_promotion_service` None: no promoter role is configured, which responses report."""

    def __init__(
        self,
        *,
        bodies: Bodies,
        open_promotion_service: OpensPromotionService | None,
        moved: Callable[[], None] = lambda: None,
        behind_load_balancer: bool = False,
    ) -> None:
        self._bodies = bodies
        self._behind_load_balancer = behind_load_balancer
        self._open_promotion_service = open_promotion_service
        self._moved = moved

    @property
    def possible(self) -> bool:
        """Whether the channel can be rolled back from here."""
        return self._open_promotion_service is not None

    def confidential(self, request: Request) -> bool:
        """Returns whether credentials may be sent over this request's connection."""
        return confidential(request, behind_load_balancer=self._behind_load_balancer)

    async def roll_back(self, request: Request) -> Response:
        """Handle `POST /v1/roll-back`."""
        if not self.confidential(request):
            raise Problem(
                FORBIDDEN,
                "Send credentials only over TLS, or from the endpoint's own machine (forward its port). If this "
                "connection was not encrypted, revoke the session whose credentials were sent.",
            )
        if self._open_promotion_service is None:
            raise Problem(NOT_FOUND, "This endpoint has no promoter role. Use `petpark rollback`.")
        async with self._bodies.read(request) as body:
            if len(body) > BODY_BYTES:
                raise Problem(TOO_LARGE, f"The body of a rollback is limited to {BODY_BYTES:,} bytes.")
            rollback = RollBack.from_json(body)
        move = await asyncio.to_thread(self._act, self._open_promotion_service, rollback)
        self._moved()
        caller: Caller = request.state.caller
        facts = {"entry": move.number, "version": move.version, "by": move.by}
        logger.info("channel rolled back", extra={**facts, "api_key": caller.key.name if caller.key else ""})
        return JSONResponse(move.to_dict(), headers={"cache-control": "no-store"})

    def _act(self, open_promotion_service: OpensPromotionService, rollback: RollBack) -> ChannelEntry:
        try:
            service, by = open_promotion_service(rollback.credentials)
            return service.roll_back(by=by, why=rollback.why.strip(), to=rollback.to, expected=rollback.expected)
        except (MoverRefused, StoreRefused) as error:
            raise Problem(FORBIDDEN, str(error)) from None
        except (StoreUnavailable, KeyUnavailable) as error:
            raise Problem(UPSTREAM, str(error)) from None
        except RegistryError as error:
            raise Problem(CONFLICT, str(error)) from None


class PromoterSessions:
    """Assumes the promoter's role with the operator's own credentials."""

    def __init__(self, settings: ServingSettings, *, role: str, signing_key: str, memory: ChainMemory | None) -> None:
        """`memory`: this machine's verified part of the channel's log."""
        self._memory = memory
        self._settings = settings
        self._role = role
        self._signing_key = signing_key

    def __call__(self, credentials: Credentials) -> tuple[PromotionService, str]:
        """See `OpensPromotionService`."""
        own = boto3.Session(
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token or None,
        )
        try:
            sts = own.client("sts", config=_AWS)
            name = session_name(sts.get_caller_identity()["Arn"])
            taken = sts.assume_role(RoleArn=self._role, RoleSessionName=name, DurationSeconds=_SECONDS)
        except ClientError as error:
            code = cast("dict[str, dict[str, str]]", error.response)["Error"].get("Code", "refused")
            raise Problem(
                FORBIDDEN,
                f"These credentials may not assume the promoter role ({code}). Use current ones of a promoter: aws "
                "configure export-credentials.",
            ) from None
        except BotoCoreError as error:
            raise Problem(UPSTREAM, f"AWS did not respond ({type(error).__name__}). Try again.") from None
        return self._service(taken["Credentials"]), taken["AssumedRoleUser"]["Arn"]

    def _service(self, promoter: Any) -> PromotionService:
        session = boto3.Session(
            aws_access_key_id=promoter["AccessKeyId"],
            aws_secret_access_key=promoter["SecretAccessKey"],
            aws_session_token=promoter["SessionToken"],
        )
        settings = self._settings
        store = S3Store(session.client("s3", config=_AWS), settings.model_store)
        return PromotionService(
            catalog=Catalog(store, settings.model),
            channel=Channel(store, settings.model, settings.channel, memory=self._memory),
            certificates=Certificates(store, settings.model),
            policy=settings.rule,
            verifier=KmsVerifier(session.client("kms", config=_AWS), self._signing_key),
        )


def confidential(request: Request, *, behind_load_balancer: bool) -> bool:
    """Returns whether the request's connection was confidential: TLS up to the load balancer, or loopback.

    Any client can send `X-Forwarded-Proto`, so `https` is trusted only if nothing but a load balancer, which overwrites
    it, can connect. `http` is always trusted, because a false claim gains nothing.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
    """
    schemes = [value.strip().lower() for value in request.headers.getlist("x-forwarded-proto")]
    if any(value != "https" for value in schemes):
        return False
    if schemes and behind_load_balancer:
        return True
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
