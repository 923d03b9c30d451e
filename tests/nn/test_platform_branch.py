import jax
import jax.numpy as jnp
import pytest

from jaxedit.nn.platform_branch import platform_branch


@pytest.fixture
def traced():
    return []


def _branch(x, traced):
    def cpu(x):
        traced.append("cpu")
        return x + 1

    def default(x):
        traced.append("default")
        return x + 2

    return platform_branch(x, cpu=cpu, default=default)


def test_where_there_is_only_a_cpu_its_branch_alone_is_traced(traced, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert jax.jit(lambda x: _branch(x, traced))(jnp.zeros(())) == 1
    assert traced == ["cpu"]


def test_with_an_accelerator_the_device_decides(traced, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    on_cpu = jax.jit(lambda x: _branch(x, traced))(jax.device_put(0.0, jax.devices("cpu")[0]))
    assert on_cpu == 1
    assert sorted(traced) == ["cpu", "default"]
