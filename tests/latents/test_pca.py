import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import CheckpointError, InputError
from jaxedit.latents.pca import PCA, fit_pca, fit_pca_streamed


def spectrum_like_w(num: int, w_dim: int, mean: float, seed: int = 0) -> np.ndarray:
    r = np.random.RandomState(seed)
    basis = np.linalg.qr(r.randn(w_dim, w_dim))[0]
    # The variances of FFHQ's W: from 8 down to 0.004.
    x = r.randn(num, w_dim) * np.sqrt(np.geomspace(8.0, 4e-3, w_dim))
    return (x @ basis + mean * (1 + r.rand(w_dim))).astype(np.float32)


def reference(w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    w = w.astype(np.float64)
    mean = w.mean(0)
    _, s, v = np.linalg.svd(w - mean, full_matrices=False)
    return mean, v, s**2 / (len(w) - 1)


@pytest.mark.parametrize("mean", [0.0, pytest.param(1.0, marks=pytest.mark.slow), 100.0])
@pytest.mark.parametrize("way", ["covariance", "singular values", "streamed"])
def test_agrees_with_a_float64_svd(mean, way):
    w = spectrum_like_w(6000, 128, mean)
    if way == "streamed":
        pca = fit_pca_streamed(np.split(w, 10), 20, progress=False)
    else:
        pca = fit_pca(w, 20, accurate=way == "singular values")
    true_mean, directions, variance = reference(w)
    np.testing.assert_allclose(pca.explained_variance, variance, rtol=1e-4)
    np.testing.assert_allclose(pca.mean, true_mean, atol=1e-6 + 1e-6 * mean)
    found = np.asarray(pca.components, np.float64)
    np.testing.assert_allclose(found @ found.T, np.eye(128), atol=1e-5)
    for k in (1, 20, 100):
        # The sine of the largest principal angle between the subspaces.
        residue = found[:k] - found[:k] @ directions[:k].T @ directions[:k]
        assert np.linalg.norm(residue, 2) < 1e-3


def test_small_variances_are_kept_and_the_covariance_takes_over_where_it_knows_them():
    scales = np.geomspace(1, 1e-4, 150).astype(
        np.float32
    )  # variances down to 1e-8; 150 columns are two blocks
    w = np.random.RandomState(0).randn(2000, 150).astype(np.float32) * scales
    variance = reference(w)[2]
    few, all_of_them = fit_pca(w, 10), fit_pca(w, 150)
    np.testing.assert_array_equal(few.components, fit_pca(w, 10, accurate=False).components)
    np.testing.assert_array_equal(all_of_them.components, fit_pca(w, 150, accurate=True).components)
    np.testing.assert_allclose(few.explained_variance[:10], variance[:10], rtol=1e-5)
    np.testing.assert_allclose(all_of_them.explained_variance, variance, rtol=1e-4)
    by_covariance = np.asarray(fit_pca(w, 150, accurate=False).explained_variance)
    assert (np.abs(by_covariance / variance - 1) > 1e-3).any()


def test_streamed_accepts_unequal_batches_and_a_first_one_below_the_width():
    w = spectrum_like_w(3000, 64, 5.0)
    pca = fit_pca_streamed(iter([w[:20], w[20:1500], w[1500:]]), 10, num_batches=3, progress=False)
    np.testing.assert_allclose(pca.explained_variance, reference(w)[2], rtol=1e-4)


def test_rotation_is_invertible_for_vectors_and_batches():
    w = spectrum_like_w(500, 32, 10.0)
    pca = fit_pca(w, 8)
    w_pca = pca.transform(w)
    np.testing.assert_allclose(pca.inverse_transform(w_pca), w, atol=2e-5)
    np.testing.assert_allclose(pca.transform(w[0]), w_pca[0], atol=1e-5)
    np.testing.assert_allclose(np.var(w_pca, axis=0, ddof=1), pca.explained_variance, rtol=1e-3)


def test_signs_are_fixed():
    w = spectrum_like_w(500, 32, 0.0)
    components, mirrored = fit_pca(w, 4).components, fit_pca(-w, 4).components
    assert (np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1) > 0).all()
    np.testing.assert_allclose(components, mirrored, atol=1e-4)


def test_fewer_samples_than_dimensions_still_give_a_basis():
    pca = fit_pca(spectrum_like_w(20, 64, 1.0), 10)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(64), atol=1e-5)
    np.testing.assert_allclose(pca.explained_variance[19:], 0, atol=1e-9)


def test_num_components_by_share_and_by_knee():
    w = spectrum_like_w(4000, 64, 1.0)
    cumulative = np.cumsum(reference(w)[2]) / reference(w)[2].sum()
    k = fit_pca(w, 0.9).num_components
    assert cumulative[k - 2] < 0.9 <= cumulative[k - 1]
    knee = fit_pca(w, "knee")
    assert knee.num_components == np.argmax(cumulative - np.arange(1, 65) / 64) + 1
    assert knee.with_num_components(5).num_components == 5


@pytest.mark.parametrize("choice", [0, 33, -1, 1.0, 0.0, 2.5, "elbow"])
def test_impossible_num_components(choice):
    w = spectrum_like_w(100, 32, 0.0)
    with pytest.raises(Exception, match="num_components"):
        fit_pca(w, choice)


def test_errors_of_the_latents():
    w = spectrum_like_w(100, 32, 0.0)
    pca = fit_pca(w, 8)
    with pytest.raises(InputError, match="at least 16 samples"):
        fit_pca(w[:10], 16)
    with pytest.raises(InputError, match="at least 16 samples"):
        fit_pca_streamed([w[:10]], 16, progress=False)
    with pytest.raises(InputError, match="at least"):
        fit_pca_streamed([], 16, progress=False)
    with pytest.raises(InputError, match="width 32"):
        pca.transform(w[:, :16])
    with pytest.raises(InputError, match="width 32"):
        pca.inverse_transform(w[:, :16])
    with pytest.raises(InputError, match=r"\[batch, 32\]"):
        fit_pca_streamed([w, w[:, :16]], 8, progress=False)
    w[3, 5] = np.nan
    with pytest.raises(InputError, match="1 of 100 rows"):
        fit_pca(w, 8)
    with pytest.raises(InputError, match="NaN"):
        fit_pca_streamed([w], 8, progress=False)


def test_save_and_load(tmp_path):
    pca = fit_pca(spectrum_like_w(100, 32, 0.0), 8)
    pca.save(tmp_path / "pca")
    loaded = PCA.load(tmp_path / "pca")
    assert loaded.num_components == 8
    jax.tree.map(np.testing.assert_array_equal, loaded, pca)
    with pytest.raises(CheckpointError):
        PCA.load(tmp_path / "nothing")


def test_transform_works_under_jit_vmap_and_grad():
    w = jnp.asarray(spectrum_like_w(100, 32, 0.0))
    pca = fit_pca(w, 8)
    expected = pca.transform(w)
    np.testing.assert_allclose(jax.jit(lambda p, w: p.transform(w))(pca, w), expected, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(pca.transform)(w), expected, atol=1e-5)
    gradient = jax.grad(lambda w: pca.transform(w)[0, 0])(w)
    np.testing.assert_allclose(gradient[0], pca.components[0], atol=1e-6)


def test_by_default_no_more_components_than_the_width():
    w = np.random.RandomState(0).randn(300, 24).astype(np.float32)
    assert fit_pca(w).num_components == 24
    assert fit_pca(np.tile(w, (1, 10))[:, :210]).num_components == 200


def test_the_leading_coordinates_are_the_first_of_all():
    w = np.random.RandomState(0).randn(300, 24).astype(np.float32)
    pca = fit_pca(w, 7)
    np.testing.assert_allclose(pca.leading(w), pca.transform(w)[:, :7], atol=1e-5)
    with pytest.raises(InputError, match="w: expected latents of width 24"):
        pca.leading(w[:, 1:])
