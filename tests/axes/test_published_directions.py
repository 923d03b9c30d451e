"""Edits along directions of others, on a small StyleGAN2."""

import pickle
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.axes.published_directions import move_along, read_directions_for, style_moves
from jaxedit.errors import InputError
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.render import render
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.latents.seed_stream import w_of_seed
from jaxedit.pretrained.registry import save_generator

SHAPE = StyleGAN2Config.of_size(8, channel_max=4, z_dim=8, w_dim=8, mapping_layers=1)


def make(shape=SHAPE) -> StyleGAN2:
    params = initial_params(shape, jax.random.key(0))
    for block in params["blocks"].values():
        block["to_rgb"]["weight"] = 0.3 * block["to_rgb"]["weight"]
    return StyleGAN2(shape, params)


@pytest.fixture(scope="module")
def generator():
    return make()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Directions as they are published: one of InterfaceGAN, components of GANSpace, styles of StyleCLIP."""
    folder = tmp_path_factory.mktemp("directions")
    random = np.random.RandomState(0)
    np.save(folder / "age_w_boundary.npy", random.randn(1, 8).astype(np.float32))
    ones = {"lat_mean": np.zeros((1, 1, 8)), "lat_stdev": np.arange(5.0)}
    np.savez(folder / "ganspace.npz", act_comp=random.randn(5, 1, 8), lat_comp=np.ones((5, 1, 8)), **ones)
    np.savez(folder / "layered.npz", hair=random.randn(4, 8), smile=random.randn(8))
    channels = make().style_channels.values()
    (folder / "beard.pkl").write_bytes(pickle.dumps([random.randn(1, n) for n in channels]))
    np.save(folder / "wide.npy", random.randn(1, 16))
    return folder


def test_latents_move_by_the_amount_in_some_layers(generator, files):
    found = read_directions_for(
        generator,
        [
            ("age", files / "age_w_boundary.npy"),
            (None, files / "ganspace.npz"),
            (None, files / "layered.npz"),
        ],
    )
    assert list(found) == ["age", *(f"component_{i}" for i in range(5)), "hair", "smile"]
    w = np.random.RandomState(1).randn(2, 8).astype(np.float32)
    moved = move_along(w, found, {"age": 2.0, "component_3": -1.0}, num_ws=4)
    np.testing.assert_allclose(moved, w + 2 * found["age"] - found["component_3"], rtol=1e-6)
    layered = move_along(w, found, {"age": 2.0, "hair": 1.0}, num_ws=4, layers=[1, 2])
    assert layered.shape == (2, 4, 8)
    np.testing.assert_array_equal(layered[:, [0, 3]], np.repeat(w[:, None], 2, 1))
    np.testing.assert_allclose(layered[:, 1], w + 2 * found["age"] + found["hair"][1], rtol=1e-6)
    with pytest.raises(InputError, match="unknown direction 'pose'; known: age, component_0"):
        move_along(w, found, {"pose": 1.0}, num_ws=4)
    with pytest.raises(InputError, match="amount of 'age': expected a finite number"):
        move_along(w, found, {"age": float("nan")}, num_ws=4)
    with pytest.raises(InputError, match="layers: expected some of the layers 0…3"):
        move_along(w, found, {"age": 1.0}, num_ws=4, layers=[4])


@pytest.mark.parametrize("is_of_class", [False, True])
def test_styles_move_by_channel_and_by_file(generator, files, is_of_class):
    if is_of_class:
        inner = make(StyleGAN2Config.of_size(8, channel_max=4, z_dim=8, w_dim=8, mapping_layers=1, c_dim=2))
        generator = ConditionedGenerator(inner, 1)
    else:
        inner = generator
    moves = style_moves(generator, {"b8.conv0:2": 3.0, "0:1": 1.0}, {})
    assert {name: move.tolist() for name, move in moves.items()} == {
        "b4.conv1": [[0, 1, 0, 0]], "b8.conv0": [[0, 0, 3, 0]]
    }  # fmt: skip
    w = w_of_seed(generator, 3)
    styles = inner.styles(w)
    by_hand = inner.synthesis_from_styles(
        styles | {name: styles[name] + move for name, move in moves.items()}
    )
    image = render(generator, w, style_moves=moves)
    expected = np.clip(np.asarray(by_hand[0]) * 127.5 + 127.5, 0, 255)
    assert np.abs(image - expected).max() <= 1 and np.ptp(image) > 0
    assert (image != render(generator, w)).any()
    whole = style_moves(generator, {"beard": 2.0}, {"beard": files / "beard.pkl"})
    assert whole.keys() == inner.style_channels.keys()
    np.testing.assert_allclose(
        whole["b4.conv1"], 2 * pickle.loads((files / "beard.pkl").read_bytes())[0], rtol=1e-6
    )


@pytest.fixture
def run(monkeypatch, capsys, tmp_path_factory, generator):
    folder = tmp_path_factory.getbasetemp() / "edited-generator"
    if not folder.exists():
        save_generator(generator, folder)

    def run(*arguments):
        command = ["jaxedit", "edit", "-g", folder, "--seed", 3, *arguments]
        monkeypatch.setattr(sys, "argv", [str(argument) for argument in command])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return (exit_.value.code, *capsys.readouterr())

    return run


def test_the_command_edits_along_them_without_axes(run, generator, files, tmp_path):
    out = tmp_path / "edited.png"
    code, printed, err = run(
        "--directions", f"age={files / 'age_w_boundary.npy'}", "--directions", files / "layered.npz",
        "--layers", "1-2", "--compare", "--out", out, "age=-3", "hair=+0.5",
    )  # fmt: skip
    assert code == 0, err
    assert printed.splitlines() == ["age: −3 × its direction", "hair: +0.5 × its direction", str(out)]
    found = read_directions_for(
        generator, [("age", files / "age_w_boundary.npy"), (None, files / "layered.npz")]
    )
    w = w_of_seed(generator, 3, truncation_psi=0.7)
    moved = move_along(w, found, {"age": -3.0, "hair": 0.5}, num_ws=4, layers=[1, 2])
    both = np.concatenate([render(generator, w), render(generator, moved)], axis=1)
    assert np.abs(np.asarray(Image.open(out)).astype(int) - both).max() <= 1
    code, printed, err = run("--style-directions", files / "beard.pkl", "beard=2", "2:1=-4", "--out", out)
    assert code == 0, err
    moves = style_moves(generator, {"beard": 2.0, "2:1": -4.0}, {"beard": files / "beard.pkl"})
    expected = render(generator, w, style_moves=moves)
    assert np.abs(np.asarray(Image.open(out)).astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--directions", "wide.npy", "wide=1"], "wide: expected a direction of shape [8] or [4, 8], as this"),
        (["--directions", "nowhere.npy", "a=1"], "nowhere.npy: expected directions"),
        (["--directions", "a=ganspace.npz", "a=1"], "expected one direction to call 'a', found 5: component_0"),
        (["--directions", "layered.npz", "--directions", "layered.npz", "hair=1"], "got 'hair' twice"),
        (["--directions", "layered.npz", "pose=1"], "unknown name 'pose'; directions: hair, smile"),
        (["--directions", "layered.npz", "hair=1", "--layers", "2-9"], "some of the layers 0…3"),
        (["--directions", "layered.npz", "hair=1", "--layers", "9-2"], "--layers: expected numbers and ranges"),
        (["--directions", "layered.npz", "hair=nan"], "amount of 'hair': expected a finite number"),
        (["--directions", "layered.npz", "hair=1", "--raw"], "--raw: expected with attributes of axes"),
        (["b4.conv1:4=1"], "expected a channel of b4.conv1, 0…3"),
        (["b64.conv1:4=1"], "expected a layer of StyleSpace, 0…4 or one of b4.conv1, b4.to_rgb"),
        (["b4.conv1:0=1", "--layers", "1"], "which names its layers"),
        (["--style-directions", "wide.npy", "wide=1"], "expected 20 channels of StyleSpace"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(run, files, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    monkeypatch.setattr("jaxedit.generators.render.render", lambda *_, **__: pytest.fail("rendered"))
    code, printed, err = run(*arguments, "--out", tmp_path / "edited.png")
    assert code == 2 and not printed
    assert err.startswith("jaxedit: error: ") and err.count("\n") == 1 and message in err
    assert not (tmp_path / "edited.png").exists()
