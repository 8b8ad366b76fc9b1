"""What a public client of the Open Inference Protocol gets: run as a program, because its messages have our names.

`python triton_client.py HTTP_ADDRESS GRPC_ADDRESS KEY` asks by REST with binary tensors, and by gRPC; prints JSON.
"""

import json
import sys
from types import ModuleType
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

SIZE = 32


def ask(library: ModuleType, address: str, key: str) -> dict[str, Any]:
    """Run the operations of the client's users."""
    client = library.InferenceServerClient(address)
    headers = {"authorization": f"Bearer {key}"}
    images = np.zeros((2, SIZE, SIZE, 3), dtype=np.uint8)
    images[0, ..., 0] = images[1, ..., 2] = 255
    tensor = library.InferInput("image", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images)
    outputs = [library.InferRequestedOutput(name) for name in ("probabilities", "embedding")]
    try:
        client.infer("pets", [tensor], outputs=outputs)
        without = "answered"
    except InferenceServerException as error:
        without = str(error.status())
    answer = client.infer("pets", [tensor], outputs=outputs, headers=headers, request_id="seven")
    metadata = client.get_model_metadata("pets")
    output = metadata if isinstance(metadata, dict) else {"name": metadata.name, "versions": list(metadata.versions)}
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready("pets"),
        "stranger_ready": client.is_model_ready("cars"),
        "model": {"name": output["name"], "versions": output["versions"]},
        "without_key": without,
        "probabilities": answer.as_numpy("probabilities").tolist(),
        "embedding": list(answer.as_numpy("embedding").shape),
    }


if __name__ == "__main__":
    rest, rpc, shown = sys.argv[1:]
    print(json.dumps({"http": ask(tritonclient.http, rest, shown), "grpc": ask(tritonclient.grpc, rpc, shown)}))
