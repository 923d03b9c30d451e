"""What tests share: the real generator, fetched once into the user's cache."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxedit.generators.mobile_stylegan import MobileStyleGAN
from jaxedit.pretrained import load_generator

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def generator() -> MobileStyleGAN:
    return load_generator("mobile-stylegan-ffhq")


@pytest.fixture(scope="session")
def reference() -> dict[str, np.ndarray]:
    """z, w and pictures of the original network under OpenVINO, float32."""
    with np.load(FIXTURES / "mobile_stylegan_ffhq_reference.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def images(generator: MobileStyleGAN, reference: dict[str, np.ndarray]) -> np.ndarray:
    """The pictures of the reference latents, made here."""
    return np.asarray(generator.synthesis(jax.numpy.asarray(reference["w"])))
