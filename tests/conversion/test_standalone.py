"""The package works without JAX and jaxedit, and its import loads no reader."""

import subprocess
import sys
from pathlib import Path

import pytest

PROLOGUE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"jax", "jaxlib", "jaxedit", "flax", "jaxtyping", "orbax", "torch", "tensorflow"}:
            raise ImportError(f"blocked: {name}")

sys.meta_path.insert(0, Blocked())
"""

EVERY_MODULE = """
import pkgutil
import weights_conversion

for module in pkgutil.walk_packages(weights_conversion.__path__, "weights_conversion."):
    __import__(module.name)
    print(module.name)
"""

CONVERT = """
import pathlib
import weights_conversion

assert not {"numpy", "safetensors", "zipfile"} & sys.modules.keys()
path = pathlib.Path(sys.argv[1])
assert weights_conversion.describe_format(path) == "pickle of StyleGAN2 or StyleGAN3 for PyTorch"
try:
    weights_conversion.convert_file(path)
except weights_conversion.ConversionError as error:
    print(error)
"""


def _run(code, *arguments):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PROLOGUE + code, *map(str, arguments)]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_every_module_is_imported_without_jax_and_jaxedit():
    found = _run(EVERY_MODULE).split()
    assert "weights_conversion.formats.safe_pickle" in found
    assert "weights_conversion.models.stylegan2.official" in found


def test_the_public_face_reads_files_without_jax_and_jaxedit(tmp_path):
    path = tmp_path / "networks.pkl"
    path.write_bytes(b"\x80\x02]q\x00.")
    assert _run(CONVERT, path) == f"{path}: expected networks of PyTorch, found list\n"


def test_the_blocked_packages_are_blocked():
    with pytest.raises(AssertionError, match="blocked: jaxedit"):
        _run("import jaxedit")
