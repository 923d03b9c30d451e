import numpy as np
import pytest

from tests.conversion.foreign_mobile import mobile_checkpoint, mobile_state
from tests.conversion.foreign_torch import write_archive
from tests.conversion.official_fixtures import assert_same
from weights_conversion.errors import ConversionError
from weights_conversion.models.families import check_generator
from weights_conversion.models.torch_checkpoint import convert_torch_checkpoint


def convert(**arrays):
    checkpoint = mobile_checkpoint()
    state = checkpoint["state_dict"] | {name.replace("__", "."): array for name, array in arrays.items()}
    checkpoint["state_dict"] = {name: array for name, array in state.items() if array is not None}
    return convert_torch_checkpoint(write_archive(checkpoint))


def test_the_student_of_a_checkpoint():
    found, state = convert(), mobile_state()
    assert found.description == "checkpoint of MobileStyleGAN"
    assert found.config == {
        "family": "mobile-stylegan",
        "z_dim": 8,
        "w_dim": 8,
        "mapping_layers": 2,
        "resolution": 32,
        "channels": [16, 8, 4],
    }
    assert_same(check_generator(found.config, found.params, name="f"), found.params)
    assert found.notes == ("The file has no noise images: they were drawn from seed 0.",)
    np.testing.assert_array_equal(found.params["w_avg"], state["style_mean"][0, 0])
    layer = found.params["mapping_network"]["layers"]["1"]
    np.testing.assert_allclose(
        layer["weight"], state["mapping_net.layers.2.weight"].T * 0.01 / np.sqrt(8), rtol=1e-6
    )
    # demodulation as the original computes it: over the product of both kernels
    where = "student.layers.1.conv1.conv"
    both = state[f"{where}.weight_dw"].transpose(1, 0, 2, 3) * state[f"{where}.weight_permute"]
    scaled = both[None] * state[f"{where}.style_inv"] / np.sqrt(9 * 2)
    demodulation = 1 / np.sqrt(np.square(scaled).sum((2, 3, 4)) + 1e-8)[0]
    expected = (state[f"{where}.weight_permute"][:, :, 0, 0] * demodulation[:, None]).T
    np.testing.assert_allclose(found.params["blocks"]["1"]["conv1"]["pointwise"], expected, rtol=1e-5)
    assert found.params["blocks"]["1"]["conv1"]["noise"].shape == (16, 16)


def test_noise_images_of_a_traced_student_are_kept():
    found = convert(student__conv1__noise__noise=np.ones((1, 1, 4, 4), np.float32))
    strength = mobile_state()["student.conv1.noise.weight"]
    np.testing.assert_array_equal(found.params["input_conv"]["noise"], np.full((4, 4), strength[0]))
    assert found.notes == ()


def test_a_checkpoint_without_the_mean_style_gets_a_computed_one():
    assert "computed from 65,536 random latents" in convert(style_mean=None).notes[1]


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("student__layers__0__conv1__conv__style_inv", None, "style_inv' of 5 dimensions, found none"),
        (
            "student__layers__0__conv1__conv__weight_dw",
            np.ones((4, 2, 3, 3), np.float32),
            "4 filters of 3 × 3",
        ),
        ("student__conv1__noise__weight", np.ones(2, np.float32), "expected one number"),
        ("student__conv1__bias", np.full((1, 16, 1, 1), np.nan, np.float32), "expected finite numbers"),
        ("student__extra__weight", np.ones(2, np.float32), r"found also student\.extra\.weight"),
        ("mapping_net__layers__1__weight", None, r"expected an array 'mapping_net\.layers\.1\.weight'"),
        ("style_mean", np.arange(16, dtype=np.float32).reshape(2, 8), "expected equal rows of 8 numbers"),
        ("style_mean", np.array(1.0, np.float32), "expected equal rows of 8 numbers"),
    ],
)
def test_other_checkpoints_are_refused(name, array, message):
    with pytest.raises(ConversionError, match=message):
        convert(**{name: array})
