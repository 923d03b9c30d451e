import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.attributes.faces.color import spot_means, to_lab
from jaxedit.attributes.faces.geometry import MIRRORED, measure_geometry, upright


@pytest.fixture
def landmarks() -> jnp.ndarray:
    """A symmetric face: random points of one half, and their mirror images."""
    random = np.random.default_rng(0)
    half = random.uniform(0, 1, (68, 2))
    half[36:42] = [0.3, 0.4]
    half[[37, 38, 40, 41], 1] += [-0.02, -0.02, 0.02, 0.02]
    half[[36, 39], 0] += [-0.05, 0.05]
    half[48] = [0.35, 0.75]
    half[[0, 1, 4], 0] = [0.1, 0.12, 0.15]
    half[31, 0] = 0.42
    half[[27, 28, 29, 30, 33, 51, 57, 62, 66, 8], 0] = 0.5
    half[[62, 66, 8, 30], 1] = [0.74, 0.78, 0.95, 0.6]
    mirror = half * [-1, 1] + [1, 0]
    left = [
        *range(9),
        *range(17, 22),
        *range(27, 34),
        *range(36, 42),
        48,
        49,
        50,
        51,
        58,
        59,
        57,
        60,
        61,
        62,
        66,
        67,
    ]
    points = mirror[MIRRORED]
    points[left] = half[left]
    return jnp.asarray(points[None], jnp.float32)


def turned(points, degrees):
    angle = np.deg2rad(degrees)
    matrix = jnp.asarray([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], jnp.float32)
    return points @ matrix


def test_mirroring_is_its_own_inverse():
    np.testing.assert_array_equal(MIRRORED[MIRRORED], np.arange(68))


def test_symmetric_face_looks_ahead(landmarks):
    measured = measure_geometry(landmarks)
    assert float(measured["yaw"][0]) == pytest.approx(0, abs=1e-3)
    assert float(measured["roll"][0]) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("degrees", [-20.0, 15.0])
def test_roll_is_the_turn_and_changes_nothing_else(landmarks, degrees):
    straight, leaning = measure_geometry(landmarks), measure_geometry(turned(landmarks, degrees))
    for name in straight:
        expected = degrees if name == "roll" else float(straight[name][0])
        assert float(leaning[name][0]) == pytest.approx(expected, abs=1e-2), name
    assert float(jnp.abs(upright(turned(landmarks, degrees))[0] - upright(landmarks)[0]).max()) < 1e-5


def test_values_do_not_depend_on_size_and_position(landmarks):
    one, other = measure_geometry(landmarks), measure_geometry(landmarks * 200 + 31)
    for name in one:
        assert float(other[name][0]) == pytest.approx(float(one[name][0]), abs=1e-2), name


def test_nose_to_the_right_is_positive_yaw_and_nose_up_is_positive_pitch(landmarks):
    right = measure_geometry(landmarks.at[:, 30, 0].add(0.1))
    assert float(right["yaw"][0]) > 10
    up = measure_geometry(landmarks.at[:, 30, 1].add(-0.05))
    assert float(up["pitch"][0]) > float(measure_geometry(landmarks)["pitch"][0]) + 2


def test_lab_of_known_colors():
    colors = jnp.asarray([[1.0, 1, 1], [-1, -1, -1], [1, -1, -1], [0, 0, 0]])
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.2], [53.39, 0, 0]]  # the last: sRGB 0.5
    np.testing.assert_allclose(to_lab(colors), expected, atol=0.05)


def test_spots_average_their_pixels():
    columns = jnp.broadcast_to(jnp.arange(64.0)[None, None, :, None], (1, 64, 64, 1))
    centers = jnp.asarray([[[0.25, 0.5], [0.75, 0.1]]])
    means = spot_means(columns, centers, jnp.full((1, 1), 0.03))
    np.testing.assert_allclose(means[0, :, 0], [15.5, 47.5], atol=1e-3)
