"""Tables of labels read by eye, and two readers."""

import dataclasses
import os

import numpy as np
import pytest

import jaxedit
from jaxedit.errors import InputError
from jaxedit.labels.agreement import cohen_kappa, compare
from jaxedit.labels.annotation_tables import read_table
from jaxedit.labels.annotations import (
    NOT_READ,
    UNKNOWN,
    AnnotatedImages,
    Annotations,
    latents_of_keys,
    load_annotations_file,
    save_annotations,
)
from jaxedit.labels.dataset import LabelledLatents, join_latents
from jaxedit.labels.rubric import Column, Rubric, load_rubric
from jaxedit.latents.seed_stream import fingerprint, sample_w
from jaxedit.pretrained.annotations import load_annotations, load_face_rubric
from tests.evaluation.conftest import LinearGenerator

RUBRIC = Rubric(
    (
        Column("hat", "yes-no", hint='a "cap" counts'),
        Column("length", "ordinal", ("short", "medium", "long")),
        Column("color", "category", ("black", "red", "other"), ("black_hair", "red_hair", "")),
    )
)
TABLE = "# read on Monday\nindex\tcolor\that\tnotes\n3\t1\t0\tfaint, red\n\n1500\t?\t\t\n7\t2\t1\t\n"


def written(tmp_path, text, name="table.tsv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_table_is_read(tmp_path):
    table = read_table(written(tmp_path, TABLE), RUBRIC)
    assert table.keys.tolist() == [3, 1500, 7]
    assert table.rubric.names == ("color", "hat")
    assert table.codes.tolist() == [[1, 0], [UNKNOWN, NOT_READ], [2, 1]]
    assert table.attribute_names == ("black_hair", "red_hair", "hat")
    expected = [[0, 1, 0], [np.nan] * 3, [0, 0, 1]]
    np.testing.assert_array_equal(table.values(), np.float32(expected))
    assert table.counts()["color"] == {"black": 0, "red": 1, "other": 1, "cannot tell": 1, "not read": 0}
    spreadsheet = written(tmp_path, "\ufeffindex,length\r\n3,2\r\n4,9\r\n", "table.csv")
    assert read_table(spreadsheet, RUBRIC).codes.tolist() == [[2], [UNKNOWN]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index\thats\n1\t0\n", r"line 1: unknown column 'hats': expected one of hat, length, color"),
        ("face\that\n1\t0\n", "line 1: expected the first column to be index, seed or file, found 'face'"),
        ("index\that\that\n1\t0\t0\n", "line 1: expected each column once, found 'hat' twice"),
        ("index\that\n1\t2\n", r"line 2: hat: expected 0…1, or 9 or \? for cannot tell, found '2'"),
        ("index\tlength\n1\tlong\n", "line 2: length: expected 0…2, .* found 'long'"),
        ("index\that\n1\t0\n# again\n1\t1\n", "line 4: index 1: expected each once, found it in line 2 too"),
        ("index\that\n1\n", "line 2: expected 2 cells, found 1"),
        ("index\that\n-1\t0\n", "line 2: index: expected a number of 0 or more, found '-1'"),
        ("index\that\n12\t0\n", r"line 2: index 12: expected one of the 10 images that were shown \(0…9\)"),
        ("index\tnotes\n12\t0\n", "expected one of hat, length, color, found no column"),
        ("# nothing\n", "found no line in it"),
        ("index\that\n" + "9" * 30 + "\t0\n", "expected a number of 0 or more, found '99"),
        ('index\that\n1\t"0\n2\t1\n', "expected a table of annotations, could not read it"),
        ("index\that\n1\t" + "0" * 200_000, "could not read it: field larger"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path, text, message):
    images = AnnotatedImages("toy", 0, 1.0, np.arange(10), np.zeros(10, np.float32))
    with pytest.raises(InputError, match=message):
        read_table(written(tmp_path, text), RUBRIC, images=None if "9" * 30 in text else images)


@pytest.mark.parametrize("read", [lambda p: read_table(p, RUBRIC), load_rubric])
def test_pipes_are_not_waited_for_and_home_is_found(tmp_path, monkeypatch, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe: expected a .*, found a pipe, a socket or a device"):
        read(tmp_path / "pipe")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=f"{tmp_path}/absent: expected a .*, found nothing"):
        read("~/absent")


def test_a_rubric_is_written_and_read(tmp_path):
    assert load_rubric(RUBRIC.save(tmp_path / "rubric.toml")) == RUBRIC
    assert "| `length` | 0 short · 1 medium · 2 long |" in RUBRIC.instructions()
    for text, message in (
        ("columns = 3", r"found no \[\[columns\]\]"),
        ("[[columns]]\nname = 'hat'\nscale = 'size'", "scale: expected one of ordinal, yes-no, category"),
        ("[[columns]]\nname = 'hat'\nscale = 'ordinal'", "expected 2 to 9 values, got 0"),
        ("[[columns]]\nname = 'hat'\nscale = 'yes-no'\nhue = 1", "unknown 'hue'"),
        ("[[columns]]\nname = 'index'\nscale = 'yes-no'", "expected a name of lower-case letters"),
        ("[[columns]]\nname = 'hat'\nscale = 'yes-no'\n" * 2, "expected each name once, got 'hat' twice"),
        ("name =", "could not read it"),
    ):
        with pytest.raises(InputError, match=message):
            load_rubric(written(tmp_path, text, "wrong.toml"))


def small_table() -> tuple[Annotations, LinearGenerator]:
    generator = LinearGenerator()
    keys = np.array([1030, 2, 5])
    w = sample_w(generator, 4, 1031)
    images = AnnotatedImages("toy", 4, 1.0, keys, fingerprint(w[keys]))
    codes = np.array([[1, 0, 2], [NOT_READ, NOT_READ, UNKNOWN], [0, 2, 0]], np.int8)
    return Annotations("index", keys, codes, RUBRIC, "by hand", images), generator


def test_latents_are_those_of_the_images(tmp_path):
    table, generator = small_table()
    dataset = table.with_latents(generator)
    np.testing.assert_array_equal(dataset.w, sample_w(generator, 4, 1031)[[1030, 5]])  # index 2 was not read
    assert dataset.attribute_units == ("0 or 1", "0…2", "0 or 1", "0 or 1")
    halved = latents_of_keys(generator, "seed", np.array([4]), seed=0, truncation_psi=0.5)
    np.testing.assert_allclose(halved, 0.5 * sample_w(generator, 4, 1))
    other = dataclasses.replace(table, images=dataclasses.replace(table.images, seed=5))
    with pytest.raises(InputError, match="2 of 2 latents are others"):
        other.with_latents(generator)
    with pytest.raises(InputError, match="expected to know which images"):
        dataclasses.replace(table, images=None).with_latents(generator)
    again = load_annotations_file(save_annotations(table, tmp_path / "table.npz"))
    np.testing.assert_array_equal(again.codes, table.codes)
    assert (again.rubric, again.origin, again.key) == (table.rubric, table.origin, "index")
    np.testing.assert_array_equal(again.with_latents(generator).w, dataset.w)


def test_datasets_are_joined():
    w = np.random.RandomState(0).randn(3000, 8).astype(np.float32)
    first = LabelledLatents(
        w[:2000], np.arange(4000.0, dtype=np.float32).reshape(-1, 2), ("a", "b"), ("", "")
    )
    near = w[1500:] + np.float32(1e-5) * np.random.RandomState(1).randn(1500, 8).astype(np.float32)
    second = LabelledLatents(near, np.arange(1500.0, dtype=np.float32)[:, None], ("b",), ("cm",))
    joined = join_latents(first, second)
    assert (joined.attribute_names, joined.attribute_units) == (("a", "b"), ("", "cm"))
    np.testing.assert_array_equal(joined.w[:2000], w[:2000])
    np.testing.assert_array_equal(joined.w[2000:], near[500:])
    assert joined.known_counts == (2000, 1500)
    np.testing.assert_array_equal(joined.values[1500:, 1], np.arange(1500))
    first, second = (
        dataclasses.replace(x, generator_fingerprint=name) for x, name in ((first, "one"), (second, "two"))
    )
    with pytest.raises(InputError, match="expected those of one generator, got one and two"):
        join_latents(first, second)


def test_the_shipped_annotations():
    table = load_annotations("mobile-stylegan-ffhq")
    assert table.rubric == load_face_rubric()
    assert table.codes.shape == (6000, 12) and (table.codes != NOT_READ).all()
    assert "vision-language model" in table.origin
    assert "gray_hair" in table.attribute_names and len(table.attribute_names) == 17
    assert table.counts()["hair_color"]["cannot tell"] == 186


def test_two_readers(tmp_path):
    metrics = pytest.importorskip("sklearn.metrics")
    rs = np.random.RandomState(0)
    a = rs.randint(0, 3, 200)
    b = np.where(rs.rand(200) < 0.7, a, rs.randint(0, 3, 200))
    rubric = RUBRIC.select(["length"])
    first = Annotations("index", np.arange(200), a[:, None].astype(np.int8), rubric)
    second = Annotations(
        "index", np.arange(250)[::-1], np.pad(b, (0, 50))[::-1, None].astype(np.int8), rubric
    )
    (found,) = compare(first, second)
    assert found.count == 200 and found.share == (a == b).mean()
    np.testing.assert_allclose(found.kappa, metrics.cohen_kappa_score(a, b, weights="linear"))
    plain = cohen_kappa(found.confusion, is_ordinal=False)
    np.testing.assert_allclose(plain, metrics.cohen_kappa_score(a, b))
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(a, b))
    assert np.isnan(cohen_kappa(np.array([[5, 0], [0, 0]]), is_ordinal=False))
    with pytest.raises(InputError, match="no index in both"):
        compare(first, dataclasses.replace(second, keys=second.keys + 1000))
    assert jaxedit.Annotations is Annotations
