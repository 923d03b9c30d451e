"""The encoder of photographs as an ONNX graph: images [batch, 3, side, side] ↦ latents of W+, in one pass.

The first pass compares with the mean of W, whose features are constants: what depends on the image alone is
multiplied out.
"""

import jax.numpy as jnp
import numpy as np

from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.inversion.encoder import COLOR_SIDE, LAYERS, TINY, Encoder
from jaxedit.nn.lpips import SCALE, SHIFT
from jaxedit.nn.resize import shrink


def encoder(graph: GraphBuilder, model: Encoder) -> str:
    """Images in [-1, 1] of the encoder's side ↦ latents [batch, num_ws, w_dim].

    The largest matrix is the part "hidden".
    """
    config = model.config
    head = {name: np.asarray(value[...]) for name, value in model.head.items()}
    fixed = {name: np.asarray(value[...]) for name, value in model.fixed.items()}
    images = graph.input("images", ["batch", 3, config.side, config.side])

    features = _features(graph, model, images)
    kept, compared = np.split(head["reduce"], 2)
    both = kept + compared
    bias = head["reduce_bias"] - fixed["channel_means"] @ fixed["channel_components"] @ both
    bias = bias - fixed["mean_features"].reshape(config.grid**2, -1) @ compared
    x = graph.add("MatMul", features, graph.constant(fixed["channel_components"] @ both))
    x = graph.add("Relu", graph.calculate("Add", x, bias[None]))
    x = graph.reshape(x, [0, config.grid**2 * config.num_channels])

    kept, compared = np.split(head["colors"], 2)
    bias = head["hidden_bias"] - fixed["mean_colors"][0] @ compared
    colors = graph.affine(_colors(graph, images, config.side), kept + compared, bias)
    x = graph.add(
        "Relu",
        graph.add("Add", graph.add("MatMul", x, graph.constant(head["hidden"], part="hidden")), colors),
    )
    x = graph.add("Add", x, graph.add("Relu", graph.affine(x, head["mixed"], head["mixed_bias"])))

    n = config.num_components
    in_w = fixed["scales"][:, None] * fixed["components"]
    shared = graph.affine(x, head["shared"] @ in_w, fixed["mean"] + head["shared_bias"] @ in_w)
    own = graph.reshape(graph.affine(x, head["layers"], head["layers_bias"]), [0, config.num_ws, n])
    own = graph.add("MatMul", own, graph.constant(in_w[:n]))
    return graph.add("Add", own, graph.add("Unsqueeze", shared, graph.constant(np.asarray([1]))))


def _features(graph: GraphBuilder, model: Encoder, images: str) -> str:
    """What AlexNet sees, [batch, places, channels]."""
    grid = model.config.grid
    shift, scale = (np.asarray(array, np.float32)[None, :, None, None] for array in (SHIFT, SCALE))
    x = graph.calculate("Div", graph.calculate("Sub", images, shift), scale)
    found = []
    for index, layer in enumerate(model.trunk.convs):
        weight = np.asarray(layer.weight[...]).transpose(3, 2, 0, 1)
        if index in (1, 2):
            x = graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
        window = weight.shape[2]
        stride, padding = (4, 2) if window == 11 else (1, window // 2)
        x = graph.add(
            "Conv",
            x,
            graph.constant(weight),
            graph.constant(layer.bias[...]),
            kernel_shape=[window, window],
            strides=[stride, stride],
            pads=[padding] * 4,
        )
        x = graph.add("Relu", x)
        if index in LAYERS:
            found.append(_on_grid(graph, x, _side(model.config.side, index), grid))
    joined = graph.reshape(graph.add("Concat", *found, axis=1), [0, 0, grid**2])
    return graph.add("Transpose", joined, perm=[0, 2, 1])


def _side(side: int, index: int) -> int:
    """Rows of the features of AlexNet's convolution number `index`."""
    side = (side + 4 - 11) // 4 + 1
    for _ in range(min(index, 2)):
        side = (side - 1) // 2
    return side


def _on_grid(graph: GraphBuilder, x: str, side: int, grid: int) -> str:
    """Features of unit length, averaged over squares."""
    power = graph.add("ReduceSum", graph.add("Mul", x, x), graph.constant(np.asarray([1])), keepdims=1)
    length = graph.add("Sqrt", graph.calculate("Add", power, np.float32(TINY)))
    x = graph.add("Div", x, length)
    if side == grid:
        return x
    factor = side // grid
    x = graph.add("AveragePool", x, kernel_shape=[factor, factor], strides=[factor, factor])
    ends = (graph.constant(np.asarray(numbers)) for numbers in ([0, 0], [grid, grid], [2, 3]))
    return graph.add("Slice", x, *ends)


def _colors(graph: GraphBuilder, images: str, side: int) -> str:
    """The image shrunk to a few pixels, [batch, colors]."""
    # Rows that are 1 at one place each tell what shrinking makes of it.
    rows = np.asarray(shrink(jnp.eye(side)[None, :, None].repeat(side, 2), COLOR_SIDE))[0, :, 0]
    small = graph.add("MatMul", graph.constant(rows), images)
    small = graph.add("MatMul", small, graph.constant(rows.T))
    small = graph.add("Transpose", small, perm=[0, 2, 3, 1])
    return graph.reshape(small, [0, 3 * COLOR_SIDE**2])
