"""Tensors of the Open Inference Protocol v2, as JSON numbers or as binary data after the JSON.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NotRequired, TypedDict, cast

import msgspec
import numpy as np

from serving.inference.session import IMAGE, OUTPUTS, Pixels, Scores
from serving.problems import TOO_LARGE, UNREADABLE, Problem

DATATYPES: Final[Mapping[str, Literal["UINT8", "FP32"]]] = {"uint8": "UINT8", "float32": "FP32"}


class Tensor(TypedDict):
    """A tensor in JSON. Without `data` its values are binary, with their size in `parameters`."""

    name: str
    datatype: Literal["UINT8", "FP32"]
    shape: list[int]
    data: NotRequired[list[Any]]
    parameters: NotRequired[dict[str, Any]]


class RequestedOutput(TypedDict):
    """A requested output."""

    name: str


class InferRequest(TypedDict):
    """The JSON of an inference request."""

    id: NotRequired[str]
    inputs: Annotated[list[Tensor], msgspec.Meta(min_length=1, max_length=1)]
    outputs: NotRequired[list[RequestedOutput]]
    parameters: NotRequired[dict[str, Any]]


class InferResponse(TypedDict):
    """The JSON of an inference response."""

    model_name: str
    model_version: str
    id: NotRequired[str]
    outputs: list[Tensor]


@dataclass(frozen=True, kw_only=True)
class TensorRequest:
    """A parsed request: images [N, size, size, 3] (uint8), requested outputs, and which of them as binary data."""

    id: str | None
    images: Pixels
    outputs: tuple[str, ...]
    binary: frozenset[str]


def read_request(
    body: bytes, header_length: int | None, *, size: int, batch: int, known: tuple[str, ...] = OUTPUTS
) -> TensorRequest:
    """Parse the body of an infer request. Raises `Problem` (422, 413).

    The first `header_length` bytes are JSON, the rest is binary tensor data; None: the whole body is JSON.
    """
    if header_length is not None and header_length > len(body):
        raise _broken(f"Inference-Header-Content-Length is {header_length}, the body has {len(body)} bytes")
    document = _object(_json(body if header_length is None else body[:header_length]), "the request")
    binary = b"" if header_length is None else body[header_length:]
    return parse(document, binary, size=size, batch=batch, known=known)


def parse(
    document: Mapping[str, Any], binary: bytes, *, size: int, batch: int, known: tuple[str, ...] = OUTPUTS
) -> TensorRequest:
    """Parse the decoded JSON of a request with its `binary` tensor data. Raises `Problem` (422, 413).

    `known` are the outputs that may be requested; a request without outputs gets `OUTPUTS`.
    """
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or len(cast("list[Any]", inputs)) != 1:
        raise _broken("`inputs` must be a list of one tensor")
    tensor = _object(cast("list[Any]", inputs)[0], "the input")
    outputs, as_binary = _requested_outputs(document, known)
    name = document.get("id")
    return TensorRequest(
        id=name if isinstance(name, str) else None,
        images=_images(tensor, binary, size=size, batch=batch),
        outputs=outputs,
        binary=as_binary,
    )


def write_response(
    request: TensorRequest, outputs: Mapping[str, Scores], *, model: str, version: str
) -> tuple[bytes, int | None]:
    """Returns the body of the response, and the length of its JSON if binary data follows, else None."""
    tensors: list[Tensor] = []
    tail: list[bytes] = []
    for name in request.outputs:
        values = outputs[name]
        tensor: Tensor = {
            "name": name,
            "datatype": DATATYPES[str(values.dtype)],
            "shape": list(values.shape),
        }
        if name in request.binary:
            tail.append(values.tobytes())
            tensor["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            tensor["data"] = values.ravel().tolist()
        tensors.append(tensor)
    document: InferResponse = {"model_name": model, "model_version": version, "outputs": tensors}
    if request.id is not None:
        document["id"] = request.id
    header = json.dumps(document, allow_nan=False).encode()
    return b"".join((header, *tail)), len(header) if tail else None


def _images(tensor: Mapping[str, Any], binary: bytes, *, size: int, batch: int) -> Pixels:
    if tensor.get("name") != IMAGE or tensor.get("datatype") != "UINT8":
        raise _broken(f"the input must have the name {IMAGE} and the datatype UINT8")
    shape = _shape(tensor.get("shape"))
    if len(shape) != 4 or shape[1:] != (size, size, 3) or shape[0] < 1:
        raise _broken(f"the input's shape must be [N, {size}, {size}, 3] with N of 1 or more, not {list(shape)}")
    if shape[0] > batch:
        raise Problem(TOO_LARGE, f"The tensor has {shape[0]} images; the limit is {batch}.")
    announced = _parameters(tensor).get("binary_data_size")
    values = _numbers(tensor.get("data")) if announced is None else _bytes(binary, announced)
    if values.size != np.prod(shape):
        raise _broken(f"the input has {values.size} numbers; its shape {list(shape)} needs {np.prod(shape)}")
    return values.reshape(shape)


def _bytes(binary: bytes, announced: object) -> Pixels:
    if announced != len(binary):
        raise _broken(f"binary_data_size is {announced!r}, but {len(binary)} bytes follow the JSON")
    return np.frombuffer(binary, dtype=np.uint8)


def _numbers(data: object) -> Pixels:
    """Returns the values of flat or nested lists of integers from 0 to 255. Raises `Problem` (422)."""
    try:
        values = np.asarray(data)
    except (ValueError, OverflowError):
        raise _broken("`data` must be a list of numbers, flat or evenly nested") from None
    if values.dtype.kind not in "iu" or (values.size and (values.min() < 0 or values.max() > 255)):
        raise _broken("`data` must contain integers from 0 to 255")
    return values.astype(np.uint8).ravel()


def _shape(value: object) -> tuple[int, ...]:
    items = cast("Sequence[object]", value) if isinstance(value, list) else ()
    if not items or not all(type(item) is int and 0 <= item < 2**31 for item in items):
        raise _broken("`shape` must be a list of non-negative integers")
    return tuple(cast("Sequence[int]", items))


def _requested_outputs(document: Mapping[str, Any], known: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    all_binary = _parameters(document).get("binary_data_output") is True
    requested = document.get("outputs") or [{"name": name} for name in OUTPUTS]
    if not isinstance(requested, list):
        raise _broken("`outputs` must be a list")
    names: list[str] = []
    binary: set[str] = set()
    for item in cast("list[Any]", requested):
        output = _object(item, "an output")
        name = output.get("name")
        if name not in known or name in names:
            raise _broken(f"`outputs` must be different ones of {', '.join(known)}; found {name!r}")
        names.append(name)
        if _parameters(output).get("binary_data", all_binary) is True:
            binary.add(name)
    return tuple(names), frozenset(binary)


def _json(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _broken("the body is not valid JSON") from None


def _parameters(of: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the parameters of a request or a tensor. Some clients send `null` if they have none."""
    found = of.get("parameters")
    return {} if found is None else _object(found, "`parameters`")


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _broken(f"{what} must be a JSON object")
    return cast("Mapping[str, Any]", value)


def _broken(detail: str) -> Problem:
    return Problem(UNREADABLE, f"Invalid inference request: {detail}.")
