import io
import tarfile

import pytest

from weights_conversion.errors import ConversionError
from weights_conversion.formats import tarball
from weights_conversion.formats.tarball import read_members

KIND = "npm package"


@pytest.fixture
def archive(tmp_path):
    """Three files, packed in this order."""
    path = tmp_path / "small.tgz"
    with tarfile.open(path, "w:gz") as opened:
        for name, size in (("package/b", 512), ("package/a", 3), ("package/c", 1000)):
            info = tarfile.TarInfo(name)
            info.size = size
            opened.addfile(info, io.BytesIO(name.encode().ljust(size, b"x")[:size]))
    return path


def test_reads_the_named_files_in_any_order(archive):
    found = read_members(archive, {"package/a", "package/b"}, kind=KIND)
    assert found == {"package/b": b"package/b" + 503 * b"x", "package/a": b"pac"}
    assert read_members(archive, set(), kind=KIND) == {}


def test_missing_files_are_named(archive):
    with pytest.raises(ConversionError, match=r"small\.tgz: expected a member package/d, found none"):
        read_members(archive, {"package/a", "package/d"}, kind=KIND)


def test_large_files_are_refused(archive, monkeypatch):
    monkeypatch.setattr(tarball, "_MAX_BYTES", 999)
    assert read_members(archive, {"package/b"}, kind=KIND)
    with pytest.raises(
        ConversionError, match="package/c: expected a file of up to 999 bytes, found 1000 bytes"
    ):
        read_members(archive, {"package/c"}, kind=KIND)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_is_refused(tmp_path, kind):
    path = tmp_path / "links.tgz"
    with tarfile.open(path, "w:gz") as opened:
        info = tarfile.TarInfo("package/a")
        info.type, info.linkname = kind, "/etc/hostname"
        opened.addfile(info)
    with pytest.raises(ConversionError, match=r"links\.tgz: package/a: expected a file .* found no file"):
        read_members(path, {"package/a"}, kind=KIND)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_damaged_archives_are_refused(archive, size):
    archive.write_bytes(archive.read_bytes()[:size])
    with pytest.raises(ConversionError, match=r"small\.tgz: not a readable npm package"):
        read_members(archive, {"package/a"}, kind=KIND)
