import numpy as np
import pytest

from jaxedit.attributes.faces.face_attributes import FaceAttributes
from jaxedit.errors import InputError
from jaxedit.labels.labels_file import load_labels
from jaxedit.labels.selection import predictable_attributes
from jaxedit.latents.seed_stream import sample_z
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS, data_path
from jaxedit.pretrained.registry import load_labelled_latents

NAME = "mobile-stylegan-ffhq"


@pytest.fixture(scope="module")
def dataset(generator):
    return load_labelled_latents(NAME, generator)


def test_the_shipped_labels(dataset):
    assert len(dataset) >= 8000
    assert {"age", "gender", "smile", "yaw", "pitch", "mouth_opening", "eye_opening"} <= set(
        dataset.attribute_names
    )
    assert np.asarray(dataset.w).shape == (len(dataset), 512)


def test_w_knows_every_shipped_attribute(dataset):
    assert set(predictable_attributes(dataset, least=0.6)) == set(dataset.attribute_names)


@pytest.mark.slow
def test_relabeling_gives_the_shipped_labels(generator, dataset):
    classifier = FaceAttributes()
    z = sample_z(0, 6, generator.z_dim)
    images = generator.synthesis(generator.mapping(z))
    columns = [classifier.names.index(name) for name in dataset.attribute_names]
    values = np.asarray(classifier(images))[:, columns]
    scale = np.asarray(dataset.values).std(axis=0)
    np.testing.assert_allclose(values / scale, np.asarray(dataset.values)[:6] / scale, atol=5e-3)


def test_labels_of_a_file(generator, tmp_path, dataset):
    path = tmp_path / "labels.npz"
    shipped = data_path(KNOWN_GENERATORS[NAME].labels).read_bytes()
    path.write_bytes(shipped)
    assert load_labels(path).generator == NAME
    np.testing.assert_array_equal(load_labelled_latents(path, generator).values, dataset.values)
    (tmp_path / "cut.npz").write_bytes(shipped[:10_000])
    with pytest.raises(InputError, match=r"cut\.npz: expected a file of labels"):
        load_labelled_latents(tmp_path / "cut.npz", generator)
    with pytest.raises(
        InputError, match="expected one of mobile-stylegan-ffhq, or a file or folder of labels"
    ):
        load_labelled_latents("absent", generator)
