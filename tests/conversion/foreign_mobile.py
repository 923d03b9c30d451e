"""A small checkpoint of MobileStyleGAN, with the names and shapes that its distillation saves."""

import itertools
from typing import Any

import numpy as np

CHANNELS = (16, 8, 4)
W_DIM = 8
LAYERS = 2


def mobile_state() -> dict[str, np.ndarray]:
    """The state dict: the student, the mapping network, and parts of the training."""
    random = np.random.RandomState(3)

    def normal(*shape: int) -> np.ndarray:
        return random.randn(*shape).astype(np.float32)

    state = {
        "device_info": np.array(1),
        "loss.net.weight": normal(2, 2),
        "synthesis_net.conv.weight": normal(2),
    }
    state["style_mean"] = np.broadcast_to(normal(W_DIM), (1, 8, W_DIM)).copy()
    for i in range(1, LAYERS + 1):
        state |= {
            f"mapping_net.layers.{i}.weight": 100 * normal(W_DIM, W_DIM),
            f"mapping_net.layers.{i}.bias": normal(W_DIM),
        }

    def modulation(where: str, channels: int) -> None:
        state[f"{where}.modulation.weight"] = normal(channels, W_DIM)
        state[f"{where}.modulation.bias"] = 1 + normal(channels)

    def styled(where: str, inner: int, outer: int, *, is_separable: bool) -> None:
        modulation(f"{where}.conv", inner)
        if is_separable:
            state[f"{where}.conv.weight_dw"] = normal(inner, 1, 3, 3)
            state[f"{where}.conv.weight_permute"] = normal(outer, inner, 1, 1)
        else:
            state[f"{where}.conv.weight"] = normal(outer, inner, 3, 3)
        state[f"{where}.conv.style_inv"] = normal(1, 1, inner, 1, 1)
        state[f"{where}.noise.weight"] = normal(1)
        state[f"{where}.bias"] = normal(1, outer, 1, 1)

    def image(where: str, channels: int) -> None:
        modulation(f"{where}.conv", channels)
        state[f"{where}.conv.weight"] = normal(12, channels, 1, 1)
        state[f"{where}.bias"] = normal(1, 12, 1, 1)

    def haar(where: str) -> None:
        for name in ("g0_col", "g1_col", "g0_row", "g1_row"):
            state[f"{where}.idwt.{name}"] = np.ones((1, 1, 2, 1), np.float32)

    state["student.input.input"] = normal(1, CHANNELS[0], 4, 4)
    state["student.device_info"] = np.zeros(1, np.float32)
    haar("student")
    styled("student.conv1", CHANNELS[0], CHANNELS[0], is_separable=False)
    image("student.to_img1", CHANNELS[0])
    for i, (before, after) in enumerate(itertools.pairwise(CHANNELS)):
        where = f"student.layers.{i}"
        modulation(f"{where}.up", before)
        haar(f"{where}.up")
        styled(f"{where}.conv1", before // 4, after, is_separable=True)
        styled(f"{where}.conv2", after, after, is_separable=True)
        image(f"{where}.to_img", after)
    return state


def mobile_checkpoint() -> dict[str, Any]:
    """What PyTorch Lightning saves of the distillation."""
    return {"epoch": 1, "global_step": 2, "callbacks": {}, "lr_schedulers": [], "state_dict": mobile_state()}
