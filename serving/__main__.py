"""`python -m serving`: run one endpoint, configured by environment variables."""

import logging
import os
import sys

import boto3
import uvloop
from botocore.config import Config

from registry.certificates.certificate import Certificates, KmsVerifier, Verifier
from registry.channels.channel import Channel
from registry.channels.experiment import Experiments
from registry.clock import utc_now
from registry.logs.chain_memory import ChainMemory
from registry.store.blob_cache import BlobCache
from registry.store.crt_transfer import crt_transfer
from registry.store.object_store import ObjectStore
from registry.store.s3_store import S3Store
from registry.versions.catalog import Catalog
from serving.auth.key_log import KeyLog
from serving.auth.key_polling import KeyRing
from serving.listening import AddressInUse
from serving.logs import log_to_cloudwatch, log_to_stdout
from serving.pages.registry_view import RegistryView
from serving.pages.rollback import PromoterSessions
from serving.process_exit import end
from serving.recording.recorder import Recorder
from serving.release.admission import Admission
from serving.release.challenger import Challenger
from serving.release.experiment_counters import ExperimentCollector
from serving.release.live import Live
from serving.release.memory import Trimmer, keep_large_blocks_apart
from serving.release.rollout import Rollout
from serving.server import Follower, serve
from serving.settings import ServingSettings, SettingInvalid, SettingMissing
from serving.telemetry import Metrics
from serving.tracing import start_tracing

_USAGE = 2
_AWS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
"""Short timeouts: a failed poll is repeated two seconds later, and the active version is served meanwhile."""

_SWITCH_SECONDS = 0.0005
"""Switch interval of Python threads; the default is 5 ms.

The event loop needs the interpreter several times per request, and waits up to this long each time while a worker
thread runs Python code. https://docs.python.org/3/library/sys.html#sys.setswitchinterval
"""

_CACHE_BYTES = 2 * 1024**3
"""Enough for dozens of versions, and a tenth of an endpoint's volume."""


def main() -> int:
    """Serve until stopped. Returns the exit status: 0 after draining, 2 for an invalid environment."""
    log_to_stdout()
    keep_large_blocks_apart()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        _serve(ServingSettings.from_environment(os.environ))
    except (SettingMissing, SettingInvalid, AddressInUse) as error:
        sys.stderr.write(f"petpark endpoint: {error}\n")
        return _USAGE
    logging.shutdown()
    return 0


def _serve(settings: ServingSettings) -> None:
    if settings.log_group:
        log_to_cloudwatch(boto3.client("logs", config=_AWS), group=settings.log_group, stream=settings.instance)
    live, metrics = Live(), Metrics(slow_seconds=settings.slow_milliseconds / 1000)
    client = boto3.client("s3", config=_AWS)
    store = S3Store(client, settings.model_store, transfer=crt_transfer(boto3.Session(), client))
    verifier = KmsVerifier(boto3.client("kms", config=_AWS), settings.signing_key) if settings.signing_key else None
    memory = ChainMemory(settings.cache, store=settings.model_store) if settings.cache else None
    followers = _followers(settings, live, metrics, store, verifier, memory)
    view = RegistryView(store, settings.model, follows=settings.channel, verifier=verifier, memory=memory)
    open_promotion_service = None
    if settings.promoter_role and settings.signing_key:
        role, key = settings.promoter_role, settings.signing_key
        open_promotion_service = PromoterSessions(settings, role=role, signing_key=key, memory=memory)
    ring = None
    if settings.api_keys_prefix:
        ring = KeyRing(KeyLog(store, settings.api_keys_prefix), metrics=metrics)
    recorder = None
    if settings.recording:
        recorder = Recorder(
            settings.recording.policy,
            S3Store(client, settings.recording.data_lake),
            stack=settings.recording.stack,
            channel=settings.channel,
            instance=settings.instance,
            metrics=metrics,
        )
    uvloop.run(
        serve(
            settings,
            followers=followers,
            live=live,
            metrics=metrics,
            ring=ring,
            view=view,
            open_promotion_service=open_promotion_service,
            recorder=recorder,
            tracing=start_tracing(os.environ, metrics, {"service.instance.id": settings.instance}),
        )
    )


def _followers(
    settings: ServingSettings,
    live: Live,
    metrics: Metrics,
    store: ObjectStore,
    verifier: Verifier | None,
    memory: ChainMemory | None,
) -> tuple[Follower, ...]:
    cache = BlobCache(settings.cache, limit_bytes=_CACHE_BYTES) if settings.cache else None
    admission = Admission(
        catalog=Catalog(store, settings.model, cache=cache),
        certificates=Certificates(store, settings.model),
        verifier=verifier if settings.require_certificate else None,
        clock=utc_now,
        max_pixels=settings.limits.pixels,
        two_people=settings.rule.two_people,
        providers=settings.providers,
    )
    channel = Channel(store, settings.model, settings.channel, memory=memory)
    experiments = Experiments(store, settings.model, settings.channel, memory=memory)
    collector = ExperimentCollector(metrics.registry)
    return (
        Rollout(channel=channel, admission=admission, live=live, metrics=metrics),
        Challenger(experiments=experiments, admission=admission, live=live, collector=collector),
        Trimmer(live),
    )


if __name__ == "__main__":
    end(main())
