"""The folder of the page: what is in it, its models in a reference runtime, its axes read back, what is refused."""

import hashlib
import json
import re

import jax.numpy as jnp
import numpy as np
import onnx
import pytest

from jaxedit.errors import InputError, OutputError
from jaxedit.export.web import page
from jaxedit.export.web.axes_file import axes_file
from jaxedit.export.web.models import mapping_model, mixing_model, synthesis_models
from jaxedit.generators.mobile_stylegan.preview import features_before, fit_linear_images
from jaxedit.generators.protocol import broadcast_w
from jaxedit.generators.stylegan2 import StyleGAN2
from jaxedit.nn.parameters import module_params
from jaxedit.pretrained.registry import save_generator
from tests.export.small_models import W_DIM, K, mobile_stylegan, normal, small_axes, stylegan2, tiny_encoder

DEEP = (16, 16, 8, 8)
"""Channels of a generator whose synthesis has three stages."""


def evaluate(serialized, **inputs):
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.load_from_string(serialized))
    return dict(zip(evaluator.output_names, evaluator.run(None, inputs), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An exported page without the runtime, which the browser tests fetch."""
    folder = tmp_path_factory.mktemp("web") / "page"
    generator = mobile_stylegan(DEEP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "runtime_files", lambda: {"runtime/ort.mjs": b"// the runtime"})
        patch.setattr(page, "_FITTED", 4)
        manifest = page.export_web(
            generator, folder, axes=small_axes(generator.num_ws), license_note="for tests"
        )
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    return folder


def test_stages_give_the_image_of_the_library_one_after_the_other():
    generator = mobile_stylegan(DEEP)
    models = synthesis_models(generator, normal(3, W_DIM, seed=3))
    assert [one.about["outputs"] for one in models] == [
        ["small", "next_features"],
        ["small", "next_features"],
        ["image"],
    ]
    latents = normal(1, generator.num_ws, W_DIM)
    given, smalls = {"latents": latents}, []
    for one in models:
        assert [value.name for value in onnx.load_from_string(one.serialized).graph.input] == one.about[
            "inputs"
        ]
        found = evaluate(one.serialized, **given)
        given = {"latents": latents, "features": found.get("next_features")}
        smalls.append(found.get("small"))
    expected = np.asarray(generator.synthesis(latents)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found["image"], expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    maps = fit_linear_images(generator, [1, 2], normal(3, W_DIM, seed=3), ridge=1e-7)
    for (cut, linear), small in zip(maps.items(), smalls, strict=False):
        features = features_before(generator, broadcast_w(jnp.asarray(latents), generator.num_ws), cut)[0]
        side, factor = len(features), 16 // len(features)
        pixels = np.asarray(features).reshape(side * side, -1) @ linear.weight + linear.bias
        image = pixels.reshape(side, side, factor, factor, 3).transpose(4, 0, 2, 1, 3).reshape(3, 16, 16)
        np.testing.assert_allclose(small[0], image, atol=1e-3 * np.abs(image).max())


def test_small_images_are_the_best_linear_ones():
    generator, w = mobile_stylegan(DEEP), normal(4, W_DIM, seed=3)
    ((cut, linear),) = fit_linear_images(generator, [2], w, ridge=1e-7).items()
    errors = []
    for change in (0.0, 0.01, -0.01):
        error = 0.0
        for row in w:
            features = np.asarray(
                features_before(generator, broadcast_w(jnp.asarray(row[None]), generator.num_ws), cut)
            )
            image = (
                np.clip(np.asarray(generator.synthesis(row[None])), -1, 1)
                .reshape(16, 4, 16, 4, 3)
                .mean((1, 3))
            )
            error += np.square(features[0] @ (linear.weight + change) + linear.bias - image).sum()
        errors.append(error)
    assert errors[0] < min(errors[1:])


def test_mapping_is_that_of_the_library():
    generator, z = mobile_stylegan(), normal(1, W_DIM)
    found = evaluate(mapping_model(generator).serialized, z=z, truncation_psi=np.float32(0.7))["w"]
    np.testing.assert_allclose(found[0], generator.mapping(z, truncation_psi=0.7), atol=1e-5)


def test_features_are_mixed_by_weights():
    below, above = normal(1, 3, 4, 4), normal(1, 3, 4, 4, seed=1)
    weights = np.abs(normal(1, 1, 4, 4, seed=2))
    found = evaluate(mixing_model().serialized, below=below, above=above, weights=weights)["mixed"]
    np.testing.assert_allclose(found, (1 - weights) * below + weights * above, atol=1e-5)


def test_a_stylegan2_is_one_stage():
    (model,) = synthesis_models(stylegan2(), normal(2, W_DIM))
    latents = normal(1, 4, W_DIM)
    expected = np.asarray(stylegan2().synthesis(latents)).transpose(0, 3, 1, 2)
    found = evaluate(model.serialized, latents=latents)["image"]
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_the_manifest_names_every_file_with_size_and_hash(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {*manifest["files"], "manifest.json", "service_worker.js"}
    for name, about in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert about == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}, name
    assert (manifest["license"], manifest["num_ws"]) == ("for tests", 8)
    assert manifest["image"] == {"height": 64, "width": 64}
    assert list(manifest["models"]) == ["mapping", "synthesis_1", "synthesis_2", "synthesis_3"]


def test_the_service_worker_keeps_this_export_and_all_parts_of_the_page(folder):
    worker = (folder / "service_worker.js").read_text()
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()[:16]
    assert f'"jaxedit-{digest}"' in worker
    kept = set(re.findall(r'"([\w./]+\.(?:js|css|json))"', worker))
    parts = {path.name for path in folder.iterdir() if path.suffix in (".js", ".css", ".json")}
    assert kept == parts - {"service_worker.js"}


def test_the_page_names_no_host():
    for name, content in page.page_files().items():
        assert b"://" not in content, name
        assert len(content.decode().splitlines()) <= 400, name


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("num_ws", [4, None])
def test_axes_read_back_edit_as_the_library_does(num_ws, linear):
    axes = small_axes(num_ws, linear=linear)
    content, about = axes_file(axes)
    arrays = {
        name: np.frombuffer(content, "<f4", int(np.prod(place["shape"])), place["offset"]).reshape(
            place["shape"]
        )
        for name, place in about["arrays"].items()
    }

    def network(name, x):
        for i in range(2):
            x = x @ arrays[f"{name}_kernel_{i}"] + arrays[f"{name}_bias_{i}"]
            x = x if i == 1 else np.where(x > 0, x, about["leaky_slope"] * x)
        return x

    def decode(code):
        return network("decoder", code) + (code @ arrays["linear_decoder"] if linear else 0)

    w, amounts = normal(3, W_DIM), np.float32([1.5, -3])
    x = (w - arrays["mean"]) @ arrays["directions"]
    code = network("encoder", x) + (x @ arrays["linear_encoder"] if linear else 0)
    np.testing.assert_allclose(code, axes.encode(w), atol=1e-5)
    target = code + np.pad(amounts, (0, K - 2))
    expected = np.asarray(axes.edit(w, {"age": 1.5, "smile": -3.0}))
    if num_ws is None:
        found = w + (decode(target) - decode(code)) @ arrays["back"]
    else:
        low, high = arrays["ends"].T

        def saturated(positions):
            inside = np.clip(positions, low, high)
            return inside + (positions - inside) * arrays["slopes"]

        moves = saturated(target[:, :2]) - saturated(code[:, :2])
        both = np.concatenate([moves, np.sqrt(1 + moves**2) - 1], axis=1)
        by_group = np.tensordot(both, arrays["curves"], 1)
        found = w[:, None] + by_group[:, about["group_of_layer"]]
    assert about["path"] == ("decoder" if num_ws is None else "curves")
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    for name in ("values", "positions", "slopes"):
        np.testing.assert_array_equal(arrays[f"transform_{name}"], getattr(axes.quantile_transform, name))


def test_axes_say_how_a_page_shows_them():
    about = axes_file(small_axes(4))[1]
    age, smile = about["attributes"]
    assert (age["title"], age["shown_unit"], age["range"], age["group"]) == (
        "age",
        "years",
        [-2.0, 2.5],
        "Face",
    )
    assert (smile["shown_unit"], smile["range"], smile["group"]) == (None, None, "Expression")
    assert about["order"] == [0, 1]


def test_what_cannot_be_exported_is_refused_before_the_work(tmp_path):
    axes, out = small_axes(4), tmp_path / "out"
    with pytest.raises(InputError, match="expected one without classes for the page, got 3 classes"):
        page.export_web(stylegan2(c_dim=3), out, axes=axes)
    quick = StyleGAN2(stylegan2().config, module_params(stylegan2()), dtype=jnp.bfloat16)
    with pytest.raises(InputError, match="float32 for the page, got bfloat16"):
        page.export_web(quick, out, axes=axes)
    with pytest.raises(InputError, match="curves of 4 layers, as the generator's, got 6"):
        page.export_web(stylegan2(), out, axes=small_axes(6))
    with pytest.raises(
        InputError, match=r"a generator of 128 pixels a side or a multiple for photographs .* got 8"
    ):
        page.export_web(stylegan2(), out, axes=axes, encoder=tiny_encoder())
    with pytest.raises(InputError, match="generator: expected one of `load_generator`, got object"):
        page.export_web(object(), out, axes=axes)
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(OutputError, match=r"found 'mine\.txt' in it"):
        page.export_web(stylegan2(), tmp_path, axes=axes)


def test_nothing_is_left_of_an_export_that_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page, "runtime_files", dict)
    monkeypatch.setattr(page, "_FITTED", 2)
    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(OutputError, match="No space left"):
        page.export_web(stylegan2(), tmp_path / "out", axes=small_axes(4))
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_page_and_asks_for_axes(run, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "runtime_files", lambda: {"runtime/ort.mjs": b"0" * 100_000})
    monkeypatch.setattr(page, "_FITTED", 2)
    save_generator(stylegan2(), tmp_path / "generator")
    small_axes(4).save(tmp_path / "axes")
    arguments = ("export", tmp_path / "generator", "--format", "web", "--out", tmp_path / "page")
    code, _, err = run(*arguments)
    assert (code, "--axes: expected axes for the sliders of the page, got none" in err) == (2, True)
    code, out, _ = run(*arguments, "--axes", tmp_path / "axes")
    assert code == 0
    assert out.splitlines()[1:] == [
        "runtime: 0.1 MB",
        f"{tmp_path}/page: `jaxedit web {tmp_path}/page` serves it",
    ]
    assert (tmp_path / "page" / "index.html").is_file()
