"""The two services that a Pulumi program talks to, in front of a `Deployment`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Never

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)

from rehearsal.engine import registration, wire
from rehearsal.engine.deployment import Deployment
from rehearsal.engine.errors import Cancelled, EngineError
from rehearsal.engine.project import StackConfig
from rehearsal.engine.reporter import Reporter
from rehearsal.engine.values import Fields, has_unknown

ORGANIZATION = "organization"
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Services(resource_pb2_grpc.ResourceMonitorServicer, engine_pb2_grpc.EngineServicer):
    """Pulumi's ResourceMonitor and Engine services. Method names are the protocol's.

    Of the monitor's features only secrets are announced: without the others the SDK sends what this engine can
    take, and refuses by itself what it cannot (transforms, hooks, deleted_with).
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        config: StackConfig,
        parallel: int,
        reporter: Reporter,
        invoke: Callable[[str, Fields], Fields],
        reference: Callable[[str], wire.Properties],
    ) -> None:
        self._deployment = deployment
        self._config = config
        self._parallel = parallel
        self._reporter = reporter
        self._invoke = invoke
        self._reference = reference
        self._root = ""

    # ---- ResourceMonitor ----

    def GetDeploymentInfo(self, request: Any, context: Any) -> resource_pb2.DeploymentInfo:  # noqa: ARG002, N802
        """What the program is run for."""
        return resource_pb2.DeploymentInfo(
            project=self._deployment.project,
            stack=self._deployment.stack,
            organization=ORGANIZATION,
            dryRun=self._deployment.dry_run,
            parallel=self._parallel,
            config=dict(self._config.values),
            configSecretKeys=sorted(self._config.secret_keys),
            supportedFeatures=[resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS],
        )

    def SupportsFeature(self, request: Any, context: Any) -> resource_pb2.SupportsFeatureResponse:  # noqa: ARG002, N802
        """The same in the older form."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id == "secrets")

    def RegisterResource(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.RegisterResourceResponse:  # noqa: N802
        """Deploy one resource."""
        with self._failing(context, fatal=True):
            done = self._deployment.register(registration.read(request))
            return resource_pb2.RegisterResourceResponse(
                urn=done.urn, id=done.id, object=wire.write(done.outputs, done.secrets)
            )

    def RegisterResourceOutputs(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """Take a component's or the stack's outputs."""
        with self._failing(context, fatal=True):
            self._deployment.set_outputs(request.urn, wire.read(request.outputs))
            return empty_pb2.Empty()

    def ReadResource(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.ReadResourceResponse:  # noqa: N802
        """Answer a StackReference; other reads (`Resource.get`) are not supported."""
        with self._failing(context, fatal=True):
            if request.type != "pulumi:pulumi:StackReference":
                raise EngineError(
                    f"{request.type} {request.name}: the embedded engine does not read existing resources "
                    "(Resource.get); use a data source, or rehearse with the Pulumi CLI."
                )
            outputs = self._reference(request.id)
            marked = {
                name: {wire.SIGNATURE: wire.SECRET, "value": value} if name in outputs.secrets else value
                for name, value in outputs.values.items()
            }
            address = registration.urn(
                stack=self._deployment.stack,
                project=self._deployment.project,
                parent=request.parent,
                type_=request.type,
                name=request.name,
            )
            properties = {"name": request.id, "outputs": marked, "secretOutputNames": sorted(outputs.secrets)}
            return resource_pb2.ReadResourceResponse(urn=address, id=request.id, properties=wire.write(properties))

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.ResourceInvokeResponse:  # noqa: N802
        """Answer an SDK function from the provider's data source."""
        with self._failing(context, fatal=False):
            if request.provider or request.packageRef:
                raise EngineError(f"{request.tok}: explicit providers are not supported by the embedded engine.")
            arguments = wire.read(request.args).values
            result = {} if has_unknown(arguments) else self._invoke(request.tok, arguments)
            response = resource_pb2.ResourceInvokeResponse()
            getattr(response, "return").CopyFrom(wire.write(result))  # the field's name is a keyword
            return response

    def RegisterPackage(self, request: Any, context: grpc.ServicerContext) -> Never:  # noqa: N802
        """Parameterised packages are not supported."""
        with self._failing(context, fatal=True):
            raise EngineError(f"The package {request.name} is not supported by the embedded engine.")
        raise AssertionError  # `_failing` never lets the error through

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: ARG002, N802
        """Nothing in this engine needs the program to live on."""
        return empty_pb2.Empty()

    # ---- Engine ----

    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: ARG002, N802
        """Pass on what the program logs; its debug messages stay unsaid."""
        if request.severity == engine_pb2.ERROR:
            self._reporter.failure(request.message)
        elif request.severity != engine_pb2.DEBUG and not request.ephemeral:
            self._reporter.message(request.message, warning=request.severity == engine_pb2.WARNING)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> engine_pb2.GetRootResourceResponse:  # noqa: ARG002, N802
        """The URN of the stack."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: Any) -> engine_pb2.SetRootResourceResponse:  # noqa: ARG002, N802
        """Remember the URN of the stack."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, request: Any, context: Any) -> engine_pb2.RequirePulumiVersionResponse:  # noqa: ARG002, N802
        """The engine speaks the SDK's version of the protocol, whatever the program wants of the CLI."""
        return engine_pb2.RequirePulumiVersionResponse()

    @contextmanager
    def _failing(self, context: grpc.ServicerContext, *, fatal: bool) -> Generator[None]:
        """Turn errors into the protocol's; after a fatal one no further step begins."""
        try:
            yield
        except Cancelled as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except EngineError as error:
            text = self._reporter.mask.text(str(error))
            if fatal:
                self._deployment.fail()
                self._reporter.failure(text)
            context.abort(grpc.StatusCode.UNKNOWN, text)
        except Exception as error:
            self._deployment.fail()
            self._reporter.failure(f"The embedded engine failed: {type(error).__name__}: {error}")
            raise


@contextmanager
def serving(services: Services, *, threads: int) -> Generator[str]:
    """Serve on a free loopback port while the context lasts; yields the address."""
    # Daemon threads would be killed in the middle of a state write; the pool is joined when the server has stopped.
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="monitor")
    server = grpc.server(pool, options=_OPTIONS)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(services, server)
    engine_pb2_grpc.add_EngineServicer_to_server(services, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        stopped: threading.Event = server.stop(grace=None)
        stopped.wait(10)
        pool.shutdown()
