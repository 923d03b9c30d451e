import json

import jax.numpy as jnp
import numpy as np
import onnx
import pytest

from jaxedit.errors import InputError, OutputError
from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.export.onnx_graphs.rounding import as_half, as_whole_numbers
from jaxedit.export.onnx_models import build, export_onnx
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.stylegan2 import StyleGAN2
from jaxedit.nn.parameters import module_params
from tests.export.small_models import W_DIM, mobile_stylegan, normal, small_axes, stylegan2

GENERATORS = {
    "skip": lambda: stylegan2("skip", channels=(8, 8, 4)),
    "resnet": lambda: stylegan2("resnet", conv_clamp=0.5),
    "orig": lambda: stylegan2("orig"),
    "mobile-stylegan": mobile_stylegan,
}


def evaluate(serialized: bytes, **inputs) -> np.ndarray:
    from onnx.reference import ReferenceEvaluator

    given = {name: np.asarray(value) for name, value in inputs.items()}
    return ReferenceEvaluator(onnx.load_from_string(serialized)).run(None, given)[0]


def assert_near(found, expected, tolerance=2e-5):
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, np.float32)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("name", GENERATORS)
def test_images_agree_with_the_library_for_w_and_w_plus(name):
    generator = GENERATORS[name]()
    serialized, about = build("synthesis", generator)
    for w in (normal(2, W_DIM), normal(2, generator.num_ws, W_DIM)):
        expected = np.asarray(generator.synthesis(w)).transpose(0, 3, 1, 2)
        assert_near(evaluate(serialized, latents=w if w.ndim == 3 else w[:, None]), expected)
    assert about["result"]["shape"] == ["batch", *expected.shape[1:]]


def test_depthwise_convolutions_and_haar_steps_are_single_nodes():
    graph = onnx.load_from_string(build("synthesis", mobile_stylegan())[0]).graph
    count = {
        kind: sum(node.op_type == kind for node in graph.node) for kind in ("Conv", "DepthToSpace", "Slice")
    }
    assert count == {"Conv": 1 + 2, "DepthToSpace": 1 + 1, "Slice": 0}


@pytest.mark.parametrize(("most", "rows"), [(1, 256), (16, 16), (100, 8)])
def test_haar_steps_of_large_images_are_products_of_fewer_columns(monkeypatch, most, rows):
    monkeypatch.setattr("jaxedit.export.onnx_graphs.mobile_stylegan._MOST_COLUMNS", most)
    generator, w = mobile_stylegan(), normal(2, W_DIM)
    serialized, _ = build("synthesis", generator)
    expected = np.asarray(generator.synthesis(w)).transpose(0, 3, 1, 2)
    assert_near(evaluate(serialized, latents=w[:, None]), expected)
    assert [rows, rows] in [list(one.dims) for one in onnx.load_from_string(serialized).graph.initializer]


@pytest.mark.parametrize("c_dim", [0, 3])
def test_mapping_agrees_with_the_library(c_dim):
    generator = stylegan2(c_dim=c_dim)
    inputs = {"z": normal(2, W_DIM), "truncation_psi": np.float32(0.6)}
    classes = {"c": jnp.eye(3)[:2]} if c_dim else {}
    found = evaluate(build("mapping", generator)[0], **inputs, **classes)
    expected = generator.mapping(inputs["z"], truncation_psi=0.6, **classes)
    assert_near(found, np.asarray(expected)[:, None])


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("num_ws", [4, None])
def test_edits_agree_with_the_library_along_both_paths(num_ws, linear):
    axes, generator = small_axes(num_ws, linear=linear), stylegan2()
    amounts = normal(3, 2)
    edits = {"smile": jnp.asarray(amounts[:, 1])}
    for name, w in (("edit", normal(3, W_DIM)), ("edit_w_plus", normal(3, 4, W_DIM))):
        serialized, about = build(name, generator, axes)
        argument = about["arguments"][0]["name"]
        given = w[:, None] if w.ndim == 2 else w
        expected = np.asarray(axes.edit(w, edits))
        expected = np.repeat(expected[:, None], 4, axis=1) if expected.ndim == 2 else expected
        both = {"amounts": amounts, "which": np.asarray([False, True])}
        assert_near(evaluate(serialized, **{argument: given}, **both), expected, 1e-4)
        none = both | {"which": np.asarray([False, False])}
        unedited = np.repeat(given, 4, axis=1) if w.ndim == 2 else given
        np.testing.assert_array_equal(evaluate(serialized, **{argument: given}, **none), unedited)


def test_weights_of_16_bits_halve_the_file_and_whole_numbers_are_nearer():
    generator = stylegan2(channels=(64, 64))
    w, errors = normal(1, 1, W_DIM), {}
    whole = build("synthesis", generator)[0]
    image = evaluate(whole, latents=w)
    for kind in ("float16", "int16"):
        half = build("synthesis", generator, weights=kind)[0]
        assert len(half) < 0.6 * len(whole)
        errors[kind] = np.abs(evaluate(half, latents=w) - image).max() / np.abs(image).max()
    assert 0 < errors["int16"] < 0.5 * errors["float16"] < 0.005


def test_small_arrays_are_not_rounded():
    models = [
        build("synthesis", mobile_stylegan(), weights=kind)[0] for kind in ("float32", "float16", "int16")
    ]
    w = normal(1, 1, W_DIM)
    whole, *others = (evaluate(one, latents=w) for one in models)
    for other in others:
        np.testing.assert_array_equal(whole, other)


def test_the_folder_says_what_is_in_it(tmp_path):
    generator, axes = stylegan2(), small_axes(4)
    described = export_onnx(generator, tmp_path / "models", axes=axes, license_note="for tests")
    names = ["edit.onnx", "edit_w_plus.onnx", "mapping.onnx", "models.json", "synthesis.onnx"]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == names
    assert json.loads((tmp_path / "models" / "models.json").read_text()) == described
    assert described["license"] == "for tests"
    assert [one["name"] for one in described["attributes"]] == ["age", "smile"]
    for name, about in described["models"].items():
        model = onnx.load(tmp_path / "models" / about["file"])
        assert [one.name for one in model.graph.input] == [one["name"] for one in about["arguments"]], name
    edit = described["models"]["edit"]["arguments"]
    assert [one["dtype"] for one in edit] == ["float32", "float32", "bool"]


def test_what_cannot_be_exported_is_refused_before_the_work(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="one with all its classes"):
        export_onnx(ConditionedGenerator(stylegan2(c_dim=3), 1), out)
    quick = StyleGAN2(stylegan2().config, module_params(stylegan2()), dtype=jnp.bfloat16)
    with pytest.raises(InputError, match=r"float32 for ONNX, got bfloat16: load it with dtype='float32'"):
        export_onnx(quick, out)
    with pytest.raises(InputError, match=r"curves of 4 layers, as the generator's, got 6"):
        export_onnx(stylegan2(), out, axes=small_axes(6))
    out.mkdir()
    (out / "mine.txt").write_text("")
    with pytest.raises(OutputError, match=r"found 'mine\.txt'"):
        export_onnx(stylegan2(), out)


def test_half_precision_keeps_digits_of_any_size():
    for scale in (1e-6, 1.0, 1e6):
        array = (scale * normal(100, 100)).astype(np.float32)
        half = as_half(array)
        assert np.isfinite(half.numbers).all()
        large = np.abs(array) > 1e-3 * scale
        error = np.abs(half.restored() - array)[large] / np.abs(array)[large]
        assert error.max() < 2.0**-11
    assert as_half(np.zeros(3, np.float32)).unit == 1


def test_whole_numbers_keep_digits_of_rows_of_any_size():
    array = normal(1, 100, 90) * np.logspace(-6, 6, 100, dtype=np.float32)[None, :, None]
    array[0, 5] = 0
    kept = as_whole_numbers(array, 16)
    assert (kept.numbers.dtype, kept.unit.shape) == (np.int16, (1, 100, 1))
    step = np.abs(array).max(2, keepdims=True) / 32767
    assert (np.abs(kept.restored() - array) <= 0.51 * step + 1e-12).all()


@pytest.mark.parametrize("bits", [16, 14, 12, 10, 8, 6, 4])
def test_models_hold_whole_numbers_of_any_even_number_of_bits(bits):
    array = normal(99, 91) * np.logspace(-2, 2, 99, dtype=np.float32)[:, None]
    graph = GraphBuilder("constant", weights=f"int{bits}")
    value = graph.add("Mul", graph.input("x", [1, 1]), graph.constant(array))
    model = graph.model({"y": (value, list(array.shape))}, {})
    found = evaluate(model, x=np.ones((1, 1), np.float32))
    np.testing.assert_array_equal(found, as_whole_numbers(array, bits).restored())
    assert len(model) < array.size * bits / 8 + 3000
    assert np.abs(found - array).max() <= 0.51 * np.abs(array).max() / (2 ** (bits - 1) - 1)


def test_what_fits_is_kept_without_any_loss():
    few = np.random.RandomState(0).choice(normal(256), (40, 60)).astype(np.float32)
    half, others = normal(40, 60).astype(np.float16).astype(np.float32), normal(40, 60, seed=2)
    graph = GraphBuilder("constants", weights="exact")
    value = graph.input("x", [1, 1])
    for array in (few, half, others):
        value = graph.add("Mul", value, graph.constant(array))
    model = graph.model({"y": (value, [40, 60])}, {})
    found = evaluate(model, x=np.ones((1, 1), np.float32))
    np.testing.assert_array_equal(found, few * half * others)
    assert 7 * few.size < len(model) < 7 * few.size + 3000


@pytest.mark.parametrize("weights", ["float16", "int16", "int12"])
def test_the_bias_takes_in_the_rounding_at_the_mean(weights):
    mean, weight = normal(100) + 3, normal(100, 90, seed=1)
    graph = GraphBuilder("affine", weights=weights)
    value = graph.affine(graph.input("x", ["batch", 100]), weight, np.zeros(90, np.float32), around=mean)
    found = evaluate(graph.model({"y": (value, ["batch", 90])}, {}), x=mean[None])
    assert np.abs(found - mean @ weight).max() < 1e-4


def test_a_missing_package_is_named_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"onnx, found none; pip install 'jaxedit\[onnx\]'"):
        export_onnx(stylegan2(), tmp_path / "out")
