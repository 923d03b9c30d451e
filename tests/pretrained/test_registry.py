import numpy as np
import pytest

from jaxedit.attributes.user_classifier import load_classifier
from jaxedit.errors import InputError
from jaxedit.labels.labels_file import load_labels
from jaxedit.labels.selection import predictable_attributes
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
    # Of dark glasses, which three of a hundred wear, it knows less: without them the value is chance.
    known = predictable_attributes(dataset, least=0.5)
    assert set(known) == set(dataset.attribute_names)
    assert [name for name, r in known.items() if r < 0.6] == ["sunglasses"]


@pytest.mark.slow
def test_relabeling_gives_the_shipped_labels(generator, dataset):
    """What the face networks measure, to rounding; what was read by eye, to what JPEG and cheaper renders change."""
    rows = range(6000, 6006)  # the classifier did not learn from these
    values = np.asarray(dataset.values)
    images = generator.synthesis(dataset.w[np.array(rows)])
    for where, tolerance in (("faces", 5e-3), ("marked-faces", 1.0)):
        classifier = load_classifier(where)
        names = [name for name in dataset.attribute_names if name in classifier.names]
        columns = [dataset.attribute_names.index(name) for name in names]
        found = np.asarray(classifier(images))[:, [classifier.names.index(name) for name in names]]
        expected, scale = values[np.ix_(rows, columns)], values[:, columns].std(axis=0)
        np.testing.assert_allclose(found / scale, expected / scale, atol=tolerance)
        assert np.abs(found - expected).mean() < 0.5 * np.abs(expected - values[:, columns].mean(0)).mean()


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
