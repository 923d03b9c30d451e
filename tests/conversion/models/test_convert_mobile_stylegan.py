import zipfile

import numpy as np
import pytest

from jaxedit.storage.download import RANDOM_FACE, fetch
from weights_conversion.errors import ConversionError
from weights_conversion.formats.openvino_ir import read_constants
from weights_conversion.models.mobile_stylegan import CONFIG, convert_wheel
from weights_conversion.table import Row, convert


def test_the_wheel_converts():
    config, arrays = convert_wheel(fetch(RANDOM_FACE))
    assert config == CONFIG
    assert arrays["w_avg"].shape == (512,)
    assert len(arrays["mapping_network"]["layers"]) == 8
    assert len(arrays["blocks"]) == 7
    assert arrays["blocks"]["6"]["head"]["weight"].shape == (64, 12)


def test_a_truncated_wheel(tmp_path):
    whole = fetch(RANDOM_FACE).read_bytes()
    path = tmp_path / "cut.whl"
    path.write_bytes(whole[:1_000_000])
    with pytest.raises(ConversionError, match=r"cut\.whl: expected a wheel"):
        convert_wheel(path)


def test_a_foreign_wheel(tmp_path):
    path = tmp_path / "foreign.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(ConversionError, match=r"foreign\.whl: expected the random-face wheel"):
        convert_wheel(path)
    with pytest.raises(ConversionError, match=r"absent\.whl"):
        convert_wheel(tmp_path / "absent.whl")


IR = """<net name="n" version="10"><layers>
<layer id="0" name="a" type="Const"><data element_type="f32" shape="2, 2" offset="4" size="16"/></layer>
<layer id="1" name="b" type="Const"><data element_type="i64" shape="" offset="0" size="{size}"/></layer>
</layers></net>"""


def test_constants():
    numbers = np.arange(5, dtype=np.float32)
    constants = read_constants(IR.format(size=8).encode(), numbers.tobytes(), name="n")
    np.testing.assert_array_equal(constants["a"], [[1, 2], [3, 4]])
    assert constants["b"].shape == ()


@pytest.mark.parametrize(
    ("xml", "binary", "message"),
    [
        (b"<net", b"", "no valid XML"),
        (b"<net version='11'/>", b"", "version 10"),
        (IR.format(size=8).encode(), b"\0" * 19, "constant 'a'"),
        (IR.format(size=9).encode(), b"\0" * 20, "constant 'b'"),
        (IR.format(size="eight").encode(), b"\0" * 20, "constant 'b': expected whole numbers"),
        (IR.format(size=8).replace("2, 2", "-2, -2").encode(), b"\0" * 20, "constant 'a' of shape"),
    ],
)
def test_damaged_ir(xml, binary, message):
    with pytest.raises(ConversionError, match=message):
        read_constants(xml, binary, name="n")


def test_a_table_misses_nothing_and_checks_shapes():
    source = {"x": np.ones((2, 3))}
    assert convert(source, [Row("x", "a.b", (3, 2), np.transpose)], name="f")["a"]["b"].shape == (3, 2)
    with pytest.raises(ConversionError, match=r"f: expected an array named 'y' \(for a\), found none"):
        convert(source, [Row("y", "a", (1,))], name="f")
    for transform in (np.asarray, lambda array: array[0, 0, :, 0], lambda array: array.transpose(2, 0, 1)):
        with pytest.raises(ConversionError, match=r"f: 'x': expected shape \(1,\) for a, found \(2, 3\)"):
            convert(source, [Row("x", "a", (1,), transform)], name="f")
