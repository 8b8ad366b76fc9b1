"""LocalStack's last open-source core, with `emulator_plugin/petpark_emulator` inside it."""

from rehearsal.emulators.product import EmulatorPaths, Product


def gateway(place: EmulatorPaths) -> dict[str, str]:
    """Where it listens and writes, for LocalStack and its forks, and that it contacts nothing outside this machine."""
    return {
        "FILESYSTEM_ROOT": str(place.folders["state"]),
        "GATEWAY_LISTEN": place.address,
        "GATEWAY_SERVER": "hypercorn",  # LocalStack's other server listens on all interfaces
        "SQS_ENDPOINT_STRATEGY": "off",  # queue URLs on this address, not on a name that only public DNS knows
        "S3_SKIP_SIGNATURE_VALIDATION": "0",
        "EAGER_SERVICE_LOADING": "0",
        # Nothing outside this machine is contacted; what these miss, `loopback_only` refuses.
        "DISABLE_EVENTS": "1",
        "DNS_ADDRESS": "0",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }


def _settings(place: EmulatorPaths) -> dict[str, str]:
    return {
        **gateway(place),
        "PETPARK_EMULATOR_ENFORCE_IAM": "1" if place.enforce_iam else "0",
        "LOCALSTACK_HOST": place.address,
    }


LOCALSTACK = Product(
    key="localstack",
    name="LocalStack",
    distribution="localstack-core",
    environment=".venv-emulator",
    setup="make setup",
    starter="petpark_emulator",
    settings=_settings,
)
