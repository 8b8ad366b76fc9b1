"""The two services that a Pulumi program talks to, in front of a `Registrar`."""

import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, Protocol

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc

from rehearsal.engine.configuration import StackConfig
from rehearsal.engine.display import Reporter
from rehearsal.engine.errors import Cancelled, EngineError, Unsupported
from rehearsal.engine.plan import Goal
from rehearsal.engine.state import STACK_TYPE, Record, short_type
from rehearsal.engine.values import Fields, Properties, from_struct, has_unknown, secret, to_struct

type Request = resource_pb2.RegisterResourceRequest

ORGANIZATION = "organization"
# Options that change what a deployment does and that no stack uses; accepted silently they would be ignored.
_UNSUPPORTED: Final[Mapping[str, Callable[[Request], object]]] = {
    "provider": lambda r: r.provider,
    "providers": lambda r: r.providers,
    "import_": lambda r: r.importId,
    "remote components": lambda r: r.remote,
    "ignore_changes": lambda r: r.ignoreChanges,
    "additional_secret_outputs": lambda r: r.additionalSecretOutputs,
    "custom_timeouts": lambda r: r.customTimeouts.ByteSize(),
    "replace_on_changes": lambda r: r.replaceOnChanges,
    "deleted_with": lambda r: r.deletedWith,
    "replace_with": lambda r: r.replace_with,
    "replacement_trigger": lambda r: r.replacement_trigger.ByteSize(),
    "transforms": lambda r: r.transforms,
    "hooks": lambda r: r.hooks.ByteSize(),
    "env_var_mappings": lambda r: r.envVarMappings,
    "state migrations": lambda r: r.state_migrations,
    "parameterised packages": lambda r: r.packageRef,
}
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Registrar(Protocol):
    """Who takes what the program registers: a deployment, or a look at what it would declare."""

    project: str
    stack: str
    dry_run: bool

    def register(self, goal: Goal) -> Record:
        """Take one resource; raises `EngineError`."""
        ...

    def set_outputs(self, urn: str, outputs: Properties) -> None:
        """Take what a component or the stack exports."""
        ...

    def fail(self) -> None:
        """Start no more steps."""
        ...


class Services(resource_pb2_grpc.ResourceMonitorServicer, engine_pb2_grpc.EngineServicer):
    """Pulumi's ResourceMonitor and Engine services. Method names are the protocol's.

    Of the monitor's features only secrets are announced: without the others the SDK sends what this engine can
    take, and refuses by itself what it cannot (transforms, hooks, deleted_with).
    """

    def __init__(
        self,
        deployment: Registrar,
        *,
        config: StackConfig,
        parallel: int,
        reporter: Reporter,
        invoke: Callable[[str, Fields], Fields],
        reference: Callable[[str], Properties],
        tolerated: frozenset[str] = frozenset(),
    ) -> None:
        """`tolerated` are unsupported options that do not matter here, because nothing is deployed."""
        self._deployment = deployment
        self._config = config
        self._parallel = parallel
        self._reporter = reporter
        self._invoke = invoke
        self._reference = reference
        self._tolerated = tolerated
        self._root = ""

    # ---- ResourceMonitor ----

    def GetDeploymentInfo(self, request: Any, context: Any) -> resource_pb2.DeploymentInfo:
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

    def SupportsFeature(self, request: Any, context: Any) -> resource_pb2.SupportsFeatureResponse:
        """The same in the older form."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id == "secrets")

    def RegisterResource(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.RegisterResourceResponse:
        """Deploy one resource."""
        with self._failing(context, fatal=True):
            done = self._deployment.register(_goal(request, self._urn(request), self._tolerated))
            return resource_pb2.RegisterResourceResponse(
                urn=done.urn, id=done.id, object=to_struct(done.outputs, done.secrets)
            )

    def RegisterResourceOutputs(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Take a component's or the stack's outputs."""
        with self._failing(context, fatal=True):
            self._deployment.set_outputs(request.urn, from_struct(request.outputs))
            return empty_pb2.Empty()

    def ReadResource(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.ReadResourceResponse:
        """Answer a StackReference; other reads (`Resource.get`) are not supported."""
        with self._failing(context, fatal=True):
            if request.type != "pulumi:pulumi:StackReference":
                raise EngineError(
                    f"{request.type} {request.name}: the embedded engine does not read existing resources "
                    "(Resource.get); use a data source, or rehearse with the Pulumi CLI."
                )
            outputs = self._reference(request.id)
            marked = {
                name: secret(value) if name in outputs.secrets else value for name, value in outputs.values.items()
            }
            properties = {"name": request.id, "outputs": marked, "secretOutputNames": sorted(outputs.secrets)}
            return resource_pb2.ReadResourceResponse(
                urn=self._urn(request), id=request.id, properties=to_struct(properties)
            )

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.ResourceInvokeResponse:
        """Answer an SDK function from the provider's data source."""
        with self._failing(context, fatal=False):
            if request.provider or request.packageRef:
                raise EngineError(f"{request.tok}: explicit providers are not supported by the embedded engine.")
            arguments = from_struct(request.args).values
            result = {} if has_unknown(arguments) else self._invoke(request.tok, arguments)
            response = resource_pb2.ResourceInvokeResponse()
            getattr(response, "return").CopyFrom(to_struct(result))  # the field's name is a keyword
            return response

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Nothing in this engine needs the program to live on."""
        return empty_pb2.Empty()

    # ---- Engine ----

    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Pass on what the program logs; its debug messages stay unsaid."""
        if request.severity == engine_pb2.ERROR:
            self._reporter.failure(request.message)
        elif request.severity != engine_pb2.DEBUG and not request.ephemeral:
            self._reporter.message(request.message, warning=request.severity == engine_pb2.WARNING)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> engine_pb2.GetRootResourceResponse:
        """The URN of the stack."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: Any) -> engine_pb2.SetRootResourceResponse:
        """Remember the URN of the stack."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def _urn(self, request: Any) -> str:
        """The resource's URN; the types of its parents qualify its own, the stack's excepted."""
        chain = request.parent.split("::")[2] if request.parent else ""
        qualified = f"{chain}${request.type}" if chain and chain != STACK_TYPE else request.type
        return f"urn:pulumi:{self._deployment.stack}::{self._deployment.project}::{qualified}::{request.name}"

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


def _goal(request: Request, urn: str, tolerated: frozenset[str]) -> Goal:
    """What the program registers in `request`; raises `Unsupported` for an option that would otherwise be lost."""
    label = f"{short_type(request.type)} {request.name}"
    for option, given in _UNSUPPORTED.items():
        if option not in tolerated and given(request):
            raise Unsupported(f"{label}: the embedded engine does not support {option}; rehearse with the Pulumi CLI.")
    if request.type.startswith("pulumi:providers:"):
        raise Unsupported(
            f"{label}: the embedded engine has one provider, configured by the stack's aws:… keys; explicit providers "
            "are not supported."
        )
    inputs = from_struct(request.object)
    record = Record(
        urn=urn,
        type=request.type,
        name=request.name,
        parent=request.parent,
        custom=request.custom,
        inputs=inputs.values,
        # What AWS reports of a resource's tags repeats what the program gave.
        secrets=inputs.secrets | {"tagsAll"} if "tags" in inputs.secrets else inputs.secrets,
        dependencies=tuple(sorted({*request.dependencies, *([request.parent] if request.parent else [])})),
        property_dependencies={k: tuple(sorted(v.urns)) for k, v in request.propertyDependencies.items() if v.urns},
        protect=request.protect,
        retain=request.retainOnDelete,
    )
    return Goal(
        record=record,
        aliases=tuple(request.aliasURNs),
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
    )


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
