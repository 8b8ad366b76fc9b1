"""How unlike the training photos a photo is: an output of the ONNX file, from the embedding alone.

An embedding minus the training photos' mean has a part along their principal components and a rest. Strangeness is 1
minus the share of its length that lies along them: 0 for what varies as training photos vary, 1 for what has nothing in
common with them (the residual of ViM: Wang et al., CVPR 2022, without its logit). Any network and any classes have it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.networks.export import STRANGENESS

OUTPUT: Final = STRANGENESS  # float32 [N], from 0 to 1

_COMPONENTS: Final = 64
_PHOTOS_A_COMPONENT: Final = 5  # at the least; fewer photos span their own noise
_TINY: Final = 1e-12

type Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Subspace:
    """The subspace of embeddings of training photos."""

    mean: Numbers  # [width]
    components: Numbers  # [width, k], orthonormal columns

    def strangeness(self, embedding: Numbers) -> Numbers:
        """Returns the strangeness [N] of embeddings [N, width], as the ONNX file does."""
        centred = embedding - self.mean
        along = np.linalg.norm(centred @ self.components, axis=1)
        return (1 - along / np.maximum(np.linalg.norm(centred, axis=1), _TINY)).clip(0, 1).astype(np.float32)


def fit_subspace(embedding: Numbers) -> Subspace:
    """Find mean and principal components of embeddings [N, width]; the same ones give the same bits."""
    mean = embedding.mean(axis=0, dtype=np.float64)
    centred = embedding - mean
    count = max(1, min(_COMPONENTS, embedding.shape[1] // 2, len(embedding) // _PHOTOS_A_COMPONENT))
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return Subspace(mean=mean.astype(np.float32), components=vectors[:, ::-1][:, :count].astype(np.float32))


def add_output(model: Path, subspace: Subspace) -> None:
    """Add an output `strangeness` to the ONNX file `model`, computed from its output `embedding`."""
    proto = onnx.load(str(model))
    graph = proto.graph
    constants = {
        "mean": subspace.mean,
        "components": subspace.components,
        "axes": np.array([1], dtype=np.int64),
        "tiny": np.float32(_TINY).reshape(()),
        "one": np.float32(1).reshape(()),
        "zero": np.float32(0).reshape(()),
    }
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{OUTPUT}.{name}"))

    def node(kind: str, inputs: tuple[str, ...], output: str) -> None:
        named = [name if name == "embedding" else f"{OUTPUT}.{name}" for name in inputs]
        made = helper.make_node(kind, named, [output], name=f"{OUTPUT}.{kind}.{output}")
        if kind == "ReduceSum":
            made.attribute.append(helper.make_attribute("keepdims", 0))
        graph.node.append(made)

    node("Sub", ("embedding", "mean"), f"{OUTPUT}.centred")
    node("MatMul", ("centred", "components"), f"{OUTPUT}.inside")
    for vectors, lengths in (("inside", "along"), ("centred", "length")):
        node("Mul", (vectors, vectors), f"{OUTPUT}.{vectors}.squared")
        node("ReduceSum", (f"{vectors}.squared", "axes"), f"{OUTPUT}.{vectors}.sum")  # ReduceL2 changed in opset 18
        node("Sqrt", (f"{vectors}.sum",), f"{OUTPUT}.{lengths}")
    node("Max", ("length", "tiny"), f"{OUTPUT}.divisor")
    node("Div", ("along", "divisor"), f"{OUTPUT}.share")
    node("Sub", ("one", "share"), f"{OUTPUT}.rest")
    node("Clip", ("rest", "zero", "one"), OUTPUT)
    batch = next(each for each in graph.output if each.name == "embedding").type.tensor_type.shape.dim[0]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch.dim_param or None])
    graph.output.append(output)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, str(model))
