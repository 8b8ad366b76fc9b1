"""Runs a Pulumi program, as Pulumi's language host does; started by the engine in a process of its own.

Arguments: the monitor's address, the project directory, the program. It knows nothing of petpark, and everything
else (stack, configuration, secrets) comes over the connection, never through arguments or the environment.
"""

import asyncio
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

import grpc
import pulumi
import pulumi.runtime
from google.protobuf import empty_pb2
from pulumi.runtime.proto import resource_pb2_grpc

PROGRAM_REFUSED = 1
PROGRAM_CRASHED = 32


def main(address: str, directory: str, program: str) -> int:
    """Run `program` against the engine at `address`; returns the exit code."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        info = resource_pb2_grpc.ResourceMonitorStub(channel).GetDeploymentInfo(empty_pb2.Empty(), timeout=60)
    pulumi.runtime.set_all_config(dict(info.config), list(info.configSecretKeys))
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            project=info.project,
            stack=info.stack,
            organization=info.organization,
            monitor=address,
            engine=address,
            parallel=info.parallel,
            dry_run=info.dryRun,
            root_directory=directory,
        )
    )
    sys.path.insert(0, directory)
    sys.argv = [program]
    # The language host's choice: asyncio's own complaints about tasks that failed together with the program are noise.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Every registration in flight blocks a thread; the SDK limits them to `parallel`.
    loop.set_default_executor(ThreadPoolExecutor(max_workers=4 * info.parallel))
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _run(program)))
    except pulumi.RunError as error:
        print(error, file=sys.stderr)
        return PROGRAM_REFUSED
    except Exception as error:  # noqa: BLE001 — whatever the program raises is the program's failure
        print(_error_text(error, directory), file=sys.stderr)
        return PROGRAM_CRASHED
    return 0


def _error_text(error: Exception, directory: str) -> str:
    """The error with the program's own lines of its traceback, without the SDK's internal ones."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(directory) and "site-packages" not in frame.filename and frame.filename != __file__
    ]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)])


def _run(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads that still wait for an answer must not keep the process
