"""MiniStack: MIT licence, pure Python, no Docker for what petpark uses."""

from rehearsal.emulators.product import Place, Product


def _settings(place: Place) -> dict[str, str]:
    return {
        "AUTH": "true" if place.enforce_iam else "false",
        "GATEWAY_PORT": str(place.port),
        "MINISTACK_HOST": place.host,
        "MINISTACK_REGION": place.region,
        "AWS_ACCESS_KEY_ID": "test",  # its administrator
        "AWS_SECRET_ACCESS_KEY": "test",
        "S3_DATA_DIR": str(place.folders["state"] / "s3"),
        "STATE_DIR": str(place.folders["state"]),
        # Listeners of their own, on ports that other programs may want, and containers: petpark uses neither.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{place.folders['state'] / 'no-docker'}",
    }


MINISTACK = Product(
    key="ministack",
    name="MiniStack",
    distribution="ministack",
    environment=".venv-ministack",
    setup="make setup-emulator EMULATOR=ministack",
    starter="petpark_ministack",
    settings=_settings,
    stops={},
)
