"""One case of the forward question, a peer: ONNX Runtime over the whole image, fp32, on all cores.

The model is written out here from the layer table and the state dict: no exporter stands between.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from passes import arguments, finish, normalised_picture, samples_of, timed

from netsounds_stream.graph.usual import usual_banks, usual_graph
from netsounds_stream.graph.values import INPUT, Convolution, Join, Pool
from netsounds_stream.network.networks import load_network


def squeezenet(state: Mapping[str, torch.Tensor]) -> onnx.ModelProto:
    """SqueezeNet 1.0 for `[1, 3, y, x]`: the four banks, by their layers' names, and the logits."""
    nodes: list[onnx.NodeProto] = []
    for node in usual_graph().nodes:
        sources = ["picture" if name == INPUT else name for name in node.inputs]
        match node.operator:
            case Convolution(weight=weight, bias=bias) as op:
                pads = [op.y.before, op.x.before, op.y.after, op.x.after]
                how = {"strides": [op.y.stride, op.x.stride], "pads": pads}
                nodes.append(helper.make_node("Conv", [*sources, weight, bias], [node.name], **how))
            case Pool() as op:
                pooled = {"kernel_shape": [op.y.kernel] * 2, "strides": [op.y.stride] * 2, "ceil_mode": 1}
                nodes.append(helper.make_node("MaxPool", sources, [node.name], **pooled))
            case Join():
                nodes.append(helper.make_node("Concat", sources, [node.name], axis=1))
            case _:
                nodes.append(helper.make_node("Relu", sources, [node.name]))
    at = usual_graph().mean
    nodes.append(helper.make_node("GlobalAveragePool", [at], ["logits"]))
    outputs = [(bank.layer, bank.channels) for bank in usual_banks().banks] + [("logits", 1000)]
    graph = helper.make_graph(
        nodes,
        "squeezenet1_0",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, "y", "x"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, None, None])
            for name, count in outputs
        ],
        [numpy_helper.from_array(value.numpy(), name) for name, value in state.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    given = arguments(__doc__).parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    model = squeezenet(load_network(weights=given.weights).state).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    picture = normalised_picture(given.picture).unsqueeze(0).contiguous().numpy()
    found: list[list[object]] = []

    def once() -> None:
        found.clear()
        found.append(session.run(None, {"picture": picture}))

    seconds = timed(lambda: once, quick=given.quick)
    banks = {
        bank.number: torch.from_numpy(value[0])
        for bank, value in zip(usual_banks().banks, found[0], strict=False)
    }
    finish(given, seconds, lambda: samples_of(banks, picture.shape[2]))


if __name__ == "__main__":
    main()
