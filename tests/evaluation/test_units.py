"""Units of an evaluation that hold other arrays than they should are measured again."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtri

from jaxedit.errors import InputError
from jaxedit.evaluation import Evaluation, EvaluationConfig, Evaluators, evaluate
from jaxedit.evaluation.methods import LinearDirections
from tests.evaluation.conftest import NAMES, W_DIM
from tests.storage.spoiled_units import spoil

CONFIG = EvaluationConfig(
    targets=["red"], pilot=8, num_resamples=100, batch_size=16, sheet_faces=1, generator_name="toy"
)
ARRAYS = {
    "unedited": "values", "scales": "values/positions", "unedited_images": "images", "search": "values",
    "refined-1": "amounts", "faces": "identity.color", "slider": "positions", "calibration": "values",
    "images": "positions", "codes": "columns",
}  # fmt: skip
"""An array of each kind of unit."""


class Calibrated(LinearDirections):
    """Asked for a value, it makes it."""

    def edit_to(self, w, attribute, values):
        return jnp.asarray(w).at[:, self.attribute_names.index(attribute)].set(values)


def test_units_with_other_arrays_are_measured_again(toy, classifier, tmp_path):
    normal = ndtri((np.arange(400) + 0.5) / 400).astype(np.float32)
    evaluators = Evaluators(
        classifier,
        reference=dict.fromkeys(NAMES, normal),
        identity={"color": lambda images: images.mean((1, 2))},
        perceptual=lambda one, other: jnp.sqrt(((one - other) ** 2).mean((1, 2)).sum(1)),
    )
    directions = np.zeros((3, W_DIM), np.float32)
    directions[:, :3] = [[1, 0.2, 0], [0, 1, -0.1], [0.3, 0.1, 1]]
    faces = np.random.RandomState(3).standard_normal((20, W_DIM)).astype(np.float32)

    def run():
        methods = [Calibrated("linear", NAMES, directions)]
        return evaluate(toy, methods, faces, evaluators, CONFIG, out=tmp_path / "run", progress=False)

    whole = run().to_json()
    paths = {path.stem: path for path in (tmp_path / "run").rglob("*.npz") if path.stem in ARRAYS}
    assert paths.keys() == ARRAYS.keys()
    for number, (unit, path) in enumerate(paths.items()):
        content = path.read_bytes()
        spoil(path, ARRAYS[unit], number)
        if unit in ("unedited", "scales"):
            with pytest.raises(InputError, match=r"found none, or damaged ones; start the evaluation again"):
                Evaluation.load(tmp_path / "run")
        else:
            assert len(Evaluation.load(tmp_path / "run").cells) == (unit not in ("faces", "slider"))
        assert run().to_json() == whole
        assert path.read_bytes() == content
