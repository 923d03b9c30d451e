"""Eight devices, and two processes, give what one device gives.

Each test runs this file in processes of its own, since the number of devices is fixed when JAX starts.
"""

import functools
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import jaxedit
from jaxedit.axes.learning import learn as learning
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.latents.seed_stream import sample_z
from jaxedit.parallel import fitting_mesh, initialize

# Blocks up to 32² take a batch at once on a CPU, that of 64² takes image after image.
CONFIG = StyleGAN2Config(z_dim=16, w_dim=16, mapping_layers=2, resolution=64, channels=(16, 16, 16, 8, 8))
_SMALL = {"num_layers": 2, "hidden_width": 32, "num_steps": 20, "steps_per_chunk": 10, "batch_size": 32}
CONFIGS = {
    "default": jaxedit.AxesConfig(**_SMALL),
    # It has batch norm on the code too, and no closed-form part that would be right without any training.
    "published": jaxedit.AxesConfig.paper(**_SMALL, num_epochs=None),
}
REQUEST = jaxedit.LabelingConfig(num_samples=90, seed=3, batch_size=8, shard_size=16)


class Colors:
    """Mean of each channel, and the contrast."""

    names = ("red", "green", "blue", "contrast")

    def __call__(self, images):
        return jnp.concatenate([images.mean((1, 2)), images.std((1, 2, 3))[:, None]], axis=1)


def small_generator() -> StyleGAN2:
    return StyleGAN2(CONFIG, initial_params(CONFIG, jax.random.key(0), noise_strength=0.1))


def assert_rounding(found, expected, what, tolerance=1e-5, scale=0.0):
    """Equal relative to the largest magnitude: sums of another order differ by float32's rounding, 6e-8 each.

    `scale`: what counts as large where all of `expected` is next to nothing.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    off = np.abs(found - expected).max() / max(np.abs(expected).max(), scale)
    assert off < tolerance, f"{what}: off by {off:.1e}"


def image(generator, z):
    return generator.synthesis(generator.mapping(z))


def check_synthesis(generator, mesh):
    """Divided by XLA and by `over_batch`."""
    z = sample_z(0, 16, CONFIG.z_dim)
    expected = image(generator, jnp.asarray(z))
    model, batch = jaxedit.replicate(generator, mesh), jaxedit.shard_batch(z, mesh)
    images = jax.jit(image)(model, batch)
    assert_rounding(jaxedit.gather(images), expected, "synthesis under jit")
    divided = jax.jit(jaxedit.over_batch(image, mesh))(model, batch)
    assert len(divided.sharding.device_set) == mesh.size
    assert divided.addressable_shards[0].data.shape[0] == 16 // mesh.size
    assert_rounding(jaxedit.gather(divided), expected, "synthesis on each device")


def check_explicit_synthesis(generator, mesh):
    """JAX knows while it traces how the batch is divided."""
    z = sample_z(0, 16, CONFIG.z_dim)
    images = jax.jit(image)(jaxedit.replicate(generator, mesh), jaxedit.shard_batch(z, mesh))
    assert images.addressable_shards[0].data.shape[0] == 16 // mesh.size
    assert_rounding(images, image(generator, jnp.asarray(z)), "synthesis over explicit axes")


def labeled(generator, out: Path, mesh=None):
    return jaxedit.label(generator, Colors(), out, REQUEST, generator_name="small", progress=False, mesh=mesh)


def assert_same_labels(found, expected):
    assert_rounding(found.values, expected.values, "labels")
    np.testing.assert_array_equal(found.z_fingerprint, expected.z_fingerprint)
    assert_rounding(found.w_fingerprint, expected.w_fingerprint, "fingerprints of w")


def check_pca(w, mesh):
    whole = jaxedit.fit_pca(w, num_components=8, accurate=True)
    spread = jaxedit.shard_batch(w, mesh)
    batches = np.split(w, 4)
    streamed = jaxedit.fit_pca_streamed(batches, 8, progress=False)
    for name, found, expected in (
        ("PCA", jaxedit.fit_pca(spread, num_components=8, accurate=True), whole),
        (
            "streamed PCA",
            jaxedit.fit_pca_streamed([jaxedit.shard_batch(b, mesh) for b in batches], 8, progress=False),
            streamed,
        ),
    ):
        assert_rounding(found.mean, expected.mean, f"mean of the {name}")
        np.testing.assert_allclose(found.explained_variance, expected.explained_variance, rtol=1e-5)
        # Directions are as well determined as their variances are apart.
        assert_rounding(found.components, expected.components, f"directions of the {name}", 1e-3)
        assert found.transform(jnp.asarray(w[:2])).is_fully_addressable
    by_covariance = jaxedit.fit_pca(spread, num_components=8)
    error = np.abs(by_covariance.explained_variance - whole.explained_variance).max()
    assert error < 1e-6 * whole.explained_variance[0]
    assert_rounding(by_covariance.components, whole.components, "directions by covariance", 1e-3)
    broken = np.where(np.arange(len(w))[:, None] == 3, np.nan, w).astype(np.float32)
    with pytest.raises(jaxedit.InputError, match="NaN or infinity in 1 of"):
        jaxedit.fit_pca(jaxedit.shard_batch(broken, mesh), num_components=8)
    return whole


def check_axes(dataset, pca, mesh, name, config):
    many = jaxedit.learn_axes(dataset, pca, config, progress=False, mesh=mesh)
    jax.tree.map(np.asarray, many)  # no part of it lies on another process's devices
    if jax.process_index():
        return  # the first process compares, and fails for both
    one = jaxedit.learn_axes(dataset, pca, config, progress=False)
    # Adam divides by the root of the gradient's square: where a gradient is next to nothing, rounding decides on a
    # whole step of that weight. Where the codes begin as a closed form, the reconstruction's error is no more than
    # such steps make of it: it counts as a part of the whole loss.
    whole = np.abs(one.history["total"]).max()
    for key, losses in one.history.items():
        assert_rounding(many.history[key], losses, f"{name}: {key}", 1e-3, whole)
    w = jnp.asarray(dataset.w[:4])
    assert_rounding(many.encode(w), one.encode(w), f"{name}: codes", 1e-2)


def latents(generator):
    return np.asarray(generator.mapping(jnp.asarray(sample_z(1, 1024, CONFIG.z_dim))))


def check_in_one_process(mesh, folder):
    generator = small_generator()
    check_synthesis(generator, mesh)
    labels = labeled(generator, folder / "many", mesh)
    assert_same_labels(labels, labeled(generator, folder / "one"))
    pca = check_pca(latents(generator), mesh)
    explicit = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Explicit,))
    check_explicit_synthesis(generator, explicit)
    check_synthesis(generator, explicit)
    check_pca(latents(generator), explicit)
    assert_same_labels(labels, labeled(generator, folder / "explicit", explicit))
    check_axes(labels.with_latents(generator), pca, explicit, "explicit axes", CONFIGS["default"])
    for name, config in CONFIGS.items():
        check_axes(labels.with_latents(generator), pca, mesh, name, config)
    check_refusals(generator, labels.with_latents(generator), pca, mesh, folder)


def check_refusals(generator, dataset, pca, mesh, folder):
    three = jaxedit.data_mesh(jax.devices()[:3])
    with pytest.raises(
        jaxedit.InputError, match=r"batch_size: expected a multiple of the 3 devices .* got 8"
    ):
        labeled(generator, folder / "refused", three)
    assert not (folder / "refused").exists()
    with pytest.raises(
        jaxedit.InputError, match=r"batch_size: expected a multiple of the 3 devices .* got 32"
    ):
        jaxedit.learn_axes(dataset, pca, CONFIGS["default"], progress=False, mesh=three)
    with pytest.raises(jaxedit.InputError, match=r"batch: expected a multiple of the 8 devices .* got 12"):
        jaxedit.shard_batch(np.zeros((12, 2), np.float32), mesh)
    with pytest.raises(jaxedit.InputError, match="devices: expected one or more, each once"):
        jaxedit.data_mesh([])
    assert fitting_mesh(12).size == 6
    assert fitting_mesh(12, 4).size == 4
    with pytest.raises(jaxedit.InputError, match=r"devices: expected one of 1, 2, 3, 4, 6 .* got 5"):
        fitting_mesh(12, 5)


def check_in_two_processes(mesh, folder):
    process = jax.process_index()
    generator = small_generator()
    check_synthesis(generator, mesh)
    # A folder that both share: what one has made there, labeling in one process goes on with.
    shared = labeled(generator, folder / "shared", mesh)
    assert len(list((folder / "shared" / "shards").iterdir())) == 6
    if process == 0:
        written = (folder / "shared" / "labels.npz").read_bytes()
        assert_same_labels(shared, labeled(generator, folder / "one"))
        again = labeled(generator, folder / "shared")
        np.testing.assert_array_equal(again.values, shared.values)
        assert (folder / "shared" / "labels.npz").read_bytes() == written
    # A folder each: both know all labels, the first one has the file.
    own = folder / f"own{process}"
    labels = labeled(generator, own, mesh)
    np.testing.assert_array_equal(labels.values, shared.values)
    assert len(list((own / "shards").iterdir())) == 3
    assert (own / "labels.npz").exists() == (process == 0)
    check_failure(generator, mesh, folder)
    pca = check_pca(latents(generator), mesh)
    check_axes(labels.with_latents(generator), pca, mesh, "default", CONFIGS["default"])
    check_killed_training(labels.with_latents(generator), pca, mesh, folder)


class KilledError(Exception):
    pass


def check_killed_training(dataset, pca, mesh, folder):
    """Killed in its second half, it goes on in both processes from what the first one kept, to the same bits."""
    learn = functools.partial(jaxedit.learn_axes, dataset, pca, CONFIGS["default"], progress=False, mesh=mesh)
    whole = learn()
    run_chunk, chunks = learning.run_chunk, []

    def killed_in_the_second(*arguments):
        chunks.append(arguments)
        if len(chunks) == 2:
            raise KilledError
        return run_chunk(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "run_chunk", killed_in_the_second)
        with pytest.raises(KilledError):
            learn(checkpoint_dir=folder / "training")
    with pytest.MonkeyPatch.context() as patch:
        chunks.clear()
        patch.setattr(learning, "run_chunk", lambda *a: chunks.append(a) or run_chunk(*a))
        resumed = learn(checkpoint_dir=folder / "training")
    assert len(chunks) == 1
    w = jnp.asarray(dataset.w[:4])
    np.testing.assert_array_equal(resumed.encode(w), whole.encode(w))
    np.testing.assert_array_equal(resumed.history["total"], whole.history["total"])


def check_failure(generator, mesh, folder):
    """What fails in one process fails in the other, and neither waits."""

    class Broken(Colors):
        def __call__(self, images):
            return super().__call__(images) * (jnp.nan if jax.process_index() else 1.0)

    expected = ("failed in process 1", "expected finite values, got nan")[jax.process_index()]
    with pytest.raises(jaxedit.JaxeditError, match=expected):
        jaxedit.label(
            generator, Broken(), folder / "broken", REQUEST, generator_name="small", progress=False, mesh=mesh
        )
    assert not (folder / "broken" / "labels.npz").exists()


def start(check: str, folder: Path, devices: int, **variables: str) -> subprocess.Popen:
    environment = os.environ | variables
    # Most of the time would go into machine code that runs for milliseconds.
    environment["XLA_FLAGS"] = (
        f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    )
    return subprocess.Popen(
        [sys.executable, __file__, check, str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_done(*processes: subprocess.Popen):
    try:
        for process in processes:
            out, err = process.communicate(timeout=240)
            assert process.returncode == 0, err
            assert out.splitlines()[-1] == "same"  # the collectives of a CPU print too
    finally:
        for process in processes:
            process.kill()


@pytest.mark.slow
def test_eight_devices(tmp_path):
    assert_done(start("check_in_one_process", tmp_path, 8))


@pytest.mark.slow
def test_two_processes(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2"}
    assert_done(
        *(start("check_in_two_processes", tmp_path, 2, **shared, JAX_PROCESS_ID=str(i)) for i in range(2))
    )


NAMES = ("coordinator_address", "num_processes", "process_id")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("10.0.0.1:80", 2, None),
            "process_id: expected coordinator_address, num_processes and process_id together",
        ),
        ((None, 2, 1), "coordinator_address: expected coordinator_address"),
        (("10.0.0.1", 2, 0), "coordinator_address: expected HOST:PORT, got '10.0.0.1'"),
        (("10.0.0.1:80", 2, 2), "process_id: expected 0…1, got 2"),
        (("10.0.0.1:80", 0, 0), "num_processes: expected 1 or more, got 0"),
        (("10.0.0.1:80", "two", 0), "num_processes: expected an int in JAX_NUM_PROCESSES, got 'two'"),
    ],
)
def test_contradictory_processes(arguments, message, monkeypatch):
    for name, value in zip(NAMES, arguments, strict=True):
        if value is not None:
            monkeypatch.setenv(f"JAX_{name.upper()}", str(value))
    with pytest.raises(jaxedit.InputError, match=message):
        initialize()
    if "two" not in arguments:
        monkeypatch.undo()
        with pytest.raises(jaxedit.InputError, match=message):
            initialize(*arguments)


def check_one_process_alone(mesh, folder):
    """`initialize` has come first, as it must, and found no others."""
    assert jax.process_count() == 1
    initialize("10.0.0.1:80", 1, 0)
    # Devices are in use by now: joining others would come too late.
    with pytest.raises(jaxedit.InputError, match=r"could not join the other processes: .* before"):
        initialize("127.0.0.1:80", 2, 1)


def test_a_single_process_stays_one(tmp_path):
    assert_done(start("check_one_process_alone", tmp_path, 1))


if __name__ == "__main__":
    initialize()
    globals()[sys.argv[1]](jaxedit.data_mesh(), Path(sys.argv[2]))
    print("same")
