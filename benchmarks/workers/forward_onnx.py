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

from netsounds_stream.network.weights import load_weights
from netsounds_stream.planning.geometry import BANKS, CLASSIFIER_NAME, LAYERS, Conv, Fire, Pool


def squeezenet(state: Mapping[str, torch.Tensor]) -> onnx.ModelProto:
    """SqueezeNet 1.0 for `[1, 3, y, x]`: the four banks, by their layers' names, and the logits."""
    nodes: list[onnx.NodeProto] = []

    def conv(name: str, source: str, target: str, **how: object) -> str:
        nodes.append(helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [name], **how))
        nodes.append(helper.make_node("Relu", [name], [target]))
        return target

    at = "picture"
    for layer in LAYERS:
        match layer:
            case Conv():
                strides = [layer.stride, layer.stride]
                at = conv(layer.name, at, layer.activation_name, strides=strides)
            case Pool():
                how = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
                nodes.append(helper.make_node("MaxPool", [at], [layer.name], **how))
                at = layer.name
            case Fire():
                name = layer.name
                squeezed = conv(f"{name}.squeeze", at, f"{name}.squeeze_activation")
                one = conv(f"{name}.expand1x1", squeezed, f"{name}.expand1x1_activation")
                pads = [1, 1, 1, 1]
                three = conv(f"{name}.expand3x3", squeezed, f"{name}.expand3x3_activation", pads=pads)
                nodes.append(helper.make_node("Concat", [one, three], [name], axis=1))
                at = name
    at = conv(CLASSIFIER_NAME, at, "classifier.2")
    nodes.append(helper.make_node("GlobalAveragePool", [at], ["logits"]))
    outputs = [(bank.layer, bank.channels) for bank in BANKS] + [("logits", 1000)]
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
    model = squeezenet(load_weights(given.weights).state).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    picture = normalised_picture(given.picture).unsqueeze(0).contiguous().numpy()
    found: list[list[object]] = []

    def once() -> None:
        found.clear()
        found.append(session.run(None, {"picture": picture}))

    seconds = timed(lambda: once, quick=given.quick)
    banks = {bank.number: torch.from_numpy(value[0]) for bank, value in zip(BANKS, found[0], strict=False)}
    finish(given, seconds, lambda: samples_of(banks, picture.shape[2]))


if __name__ == "__main__":
    main()
