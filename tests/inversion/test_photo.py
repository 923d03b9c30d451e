import hashlib
import sys
import warnings

import numpy as np
import pytest
import skimage
from PIL import Image, ImageCms

from jaxedit.errors import InputError, LeftOutWarning
from jaxedit.inversion import load_photo, photo_pixels
from jaxedit.inversion import photo as module
from jaxedit.inversion.photo import Photo, list_photos, photo_endings
from tests.inversion.photo_files import gray_profile, swapped_profile

ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def drawing() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut()[:300, 100:340])


@pytest.fixture(scope="module")
def gray(drawing) -> np.ndarray:
    return np.asarray(drawing.convert("L"))


def assert_near(path, expected, *, mean=0.0):
    """The photograph has the expected colors, on average within so many levels."""
    found = load_photo(path)
    assert found.dtype == np.uint8
    expected = np.asarray(expected)
    assert found.shape == (*expected.shape[:2], 3)
    reference = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, 2)
    assert np.abs(found.astype(int) - reference).mean() <= mean


# What a viewer has to do, by the value of the EXIF orientation, undone by what the camera did.
CAMERA = {
    1: [],
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_TOP_BOTTOM],
    6: [Image.Transpose.ROTATE_90],
    7: [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT],
    8: [Image.Transpose.ROTATE_270],
}


@pytest.mark.parametrize("orientation", CAMERA)
def test_orientation_is_applied(drawing, tmp_path, orientation):
    stored = drawing
    for step in CAMERA[orientation]:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored.save(tmp_path / "x.png", exif=exif)
    assert_near(tmp_path / "x.png", drawing)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_unknown_orientation_is_left_alone(drawing, tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    drawing.save(tmp_path / "x.png", exif=exif)
    assert_near(tmp_path / "x.png", drawing)


def test_damaged_exif_data_are_left_alone(drawing, tmp_path):
    drawing.save(tmp_path / "x.jpg", quality=95, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\1\x12")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own
        assert_near(tmp_path / "x.jpg", drawing, mean=4)


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp", "x.tif", "x.bmp", "x.ppm"])
def test_formats(drawing, tmp_path, name):
    drawing.save(tmp_path / name)
    assert_near(tmp_path / name, drawing, mean=5 if name.endswith((".jpg", ".webp")) else 0)
    assert (tmp_path / name).suffix in photo_endings()


def test_cmyk(drawing, tmp_path):
    drawing.convert("CMYK").save(tmp_path / "x.jpg", quality=95)
    assert_near(tmp_path / "x.jpg", drawing, mean=5)


def test_gray(gray, tmp_path):
    Image.fromarray(gray).save(tmp_path / "x.png")
    assert_near(tmp_path / "x.png", gray)


def test_sixteen_bits(gray, tmp_path):
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "x.png")
    assert_near(tmp_path / "x.png", gray)
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "x.tif")
    assert_near(tmp_path / "x.tif", gray)


def test_bilevel(gray, tmp_path):
    Image.fromarray(gray > 127).save(tmp_path / "x.png")
    assert_near(tmp_path / "x.png", (gray > 127) * 255)


@pytest.mark.parametrize("scale", [1 / 255, 1.0])
def test_floating_point(gray, tmp_path, scale):
    Image.fromarray(gray.astype(np.float32) * np.float32(scale)).save(tmp_path / "x.tif")
    assert_near(tmp_path / "x.tif", gray)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN"), (-np.inf, "infinity"), (-1.0, "-1.0"), (256.0, "256")]
)
def test_numbers_that_are_no_colors(gray, tmp_path, value, message):
    values = gray.astype(np.float32)
    values[7, 5] = value
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(InputError, match=rf"x\.tif: .*{message}"):
        load_photo(tmp_path / "x.tif")


def test_integers_of_more_than_16_bits(gray, tmp_path):
    Image.fromarray(gray.astype(np.int32) * 1000).save(tmp_path / "x.tif")
    with pytest.raises(InputError, match=r"x\.tif: .*16 bits"):
        load_photo(tmp_path / "x.tif")


def test_palette(drawing, tmp_path):
    reduced = drawing.quantize(200)
    reduced.save(tmp_path / "x.png")
    assert_near(tmp_path / "x.png", reduced.convert("RGB"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_white(drawing, gray, tmp_path, mode):
    alpha = np.full(gray.shape, 255, np.uint8)
    alpha[:100] = 0
    if mode == "P":
        indices = np.where(alpha, 1, 0).astype(np.uint8)
        image = Image.fromarray(indices, "P")
        image.putpalette([9, 9, 9, 20, 40, 60])
        image.save(tmp_path / "x.png", transparency=0)
        expected = np.broadcast_to(np.asarray([20, 40, 60]), (*gray.shape, 3)).copy()
    else:
        image = drawing.convert(mode)
        image.putalpha(Image.fromarray(alpha))
        image.save(tmp_path / "x.png")
        expected = np.asarray(drawing.convert("L" if mode == "LA" else "RGB").convert("RGB")).copy()
    expected[:100] = 255
    assert_near(tmp_path / "x.png", expected)


def test_half_transparent_is_half_white(tmp_path):
    Image.new("RGBA", (80, 80), (0, 100, 200, 128)).save(tmp_path / "x.png")
    np.testing.assert_allclose(load_photo(tmp_path / "x.png")[3, 3], (127, 177, 227), atol=1)


def test_color_profile_is_applied(drawing, tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    drawing.save(tmp_path / "x.png", icc_profile=srgb)
    assert_near(tmp_path / "x.png", drawing, mean=0.5)
    drawing.save(tmp_path / "x.png", icc_profile=swapped_profile())  # whose red is green, whose green is red
    assert_near(tmp_path / "x.png", np.asarray(drawing)[..., [1, 0, 2]], mean=1)


def test_gray_color_profile_is_applied(gray, tmp_path):
    profile = gray_profile(gamma=1.0)
    Image.fromarray(gray).save(tmp_path / "x.png", icc_profile=profile)
    linear = gray / 255
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert_near(tmp_path / "x.png", expected, mean=1)


def test_damaged_color_profile_is_left_alone(drawing, tmp_path):
    drawing.save(tmp_path / "x.png", icc_profile=b"no profile")
    assert_near(tmp_path / "x.png", drawing)


@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.png", "x.avif"])
def test_animations_are_refused(drawing, tmp_path, name):
    other = Image.new("RGB", drawing.size, "green")
    drawing.save(tmp_path / name, save_all=True, append_images=[other, other])
    with pytest.raises(InputError, match=rf"{name}: .* found an animation of \d frames .*: save one frame"):
        load_photo(tmp_path / name)
    drawing.save(tmp_path / name)
    assert load_photo(tmp_path / name).shape == (300, 240, 3)


def test_first_page_of_a_tiff(drawing, tmp_path):
    drawing.save(tmp_path / "x.tif", save_all=True, append_images=[Image.new("RGB", (99, 99))])
    assert_near(tmp_path / "x.tif", drawing)


def test_too_small(tmp_path):
    Image.new("RGB", (63, 200)).save(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"x\.png: expected 64 pixels a side or more, found 63 × 200"):
        load_photo(tmp_path / "x.png")
    assert load_photo(tmp_path / "x.png", min_side=32).shape == (200, 63, 3)  # a rendering
    with pytest.raises(InputError, match=r"x\.png: expected 100 pixels a side or more, found 63 × 200"):
        load_photo(tmp_path / "x.png", min_side=100)


@pytest.mark.parametrize("size", [(11000, 11000), (20000, 20000)])
def test_too_large(tmp_path, size):
    Image.new("1", size).save(tmp_path / "x.png")  # ours, Pillow's error
    with pytest.raises(InputError, match=r"x\.png: (too large|expected 120 million)"):
        load_photo(tmp_path / "x.png")


def test_a_lower_limit_of_pillow_holds(tmp_path, monkeypatch):
    Image.new("1", (300, 300)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60_000)  # at which it warns
    with pytest.raises(InputError, match=r"x\.png: too large an image"):
        load_photo(tmp_path / "x.png")


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp", "x.tif", "x.gif"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.98])
def test_truncated(drawing, tmp_path, name, part):
    path = tmp_path / name
    drawing.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match=rf"{name}: expected an image"):
            load_photo(path)


def test_damaged_bytes_never_escape_as_another_error(drawing, tmp_path):
    rng = np.random.default_rng(0)
    outcomes = set()
    for name in ("x.jpg", "x.png", "x.tif", "x.gif", "x.webp", "x.bmp"):
        path = tmp_path / name
        drawing.resize((80, 80)).save(path)
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            damaged = content.copy()
            places = rng.integers(0, min(300, len(damaged)), 4)
            damaged[places] = rng.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    outcomes.add(load_photo(path).ndim)
                except InputError as error:
                    assert name in str(error)
                    outcomes.add("refused")
    assert outcomes == {3, "refused"}


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n"]
)
def test_not_an_image(tmp_path, content):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.jpg: expected an image"):
        load_photo(tmp_path / "x.jpg")


def test_the_file_is_read_once(tmp_path):
    path = tmp_path / "me.png"
    pixels = np.random.RandomState(0).randint(0, 256, (70, 80, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    photo = Photo(path)
    assert photo.sha256 == hashlib.sha256(content).hexdigest()
    path.unlink()
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.pixels is photo.pixels


def test_a_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    (tmp_path / "film.mp4").write_bytes(bytes(11))
    with pytest.raises(InputError, match=r"film\.mp4: expected an image of 0 GB at most, found 0\.0 GB"):
        Photo(tmp_path / "film.mp4").sha256  # noqa: B018


def test_nothing_or_a_folder(tmp_path):
    with pytest.raises(InputError, match=r"absent\.png: expected an image, found nothing"):
        load_photo(tmp_path / "absent.png")
    with pytest.raises(InputError, match="expected an image"):
        load_photo(tmp_path)


def test_heic_is_read_where_its_reader_is_there(drawing, tmp_path):
    import pillow_heif

    for ending in (".heic", ".jpg"):  # known by its content, whatever its name
        pillow_heif.from_pillow(drawing).save(tmp_path / "x.heic", quality=90)
        (tmp_path / "x.heic").rename(tmp_path / f"x{ending}")
        assert_near(tmp_path / f"x{ending}", drawing, mean=5)


@pytest.mark.parametrize("brands", [b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heix"])
def test_heic_without_its_reader(tmp_path, monkeypatch, brands):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "x.heic").write_bytes((8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + bytes(99))
    with pytest.raises(InputError, match=r"x\.heic: .* HEIC.*pip install pillow-heif, or save .* JPEG"):
        load_photo(tmp_path / "x.heic")


def test_avif_with_and_without_its_reader(drawing, tmp_path, monkeypatch):
    drawing.save(tmp_path / "x.avif", quality=90)
    assert_near(tmp_path / "x.avif", drawing, mean=5)
    monkeypatch.delitem(Image.OPEN, "AVIF")
    with pytest.raises(InputError, match=r"AVIF, which Pillow reads from 11\.3 on: pip install -U pillow"):
        load_photo(tmp_path / "x.avif")


def test_jpeg_xl(tmp_path):
    for first in (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"):
        (tmp_path / "x.jxl").write_bytes(first + bytes(99))
        with pytest.raises(InputError, match="JPEG XL, which is not read"):
            load_photo(tmp_path / "x.jxl")


def test_jpegs_of_many_scans_are_refused(drawing, tmp_path):
    drawing.save(tmp_path / "x.jpg", progressive=True)
    content = (tmp_path / "x.jpg").read_bytes()
    last = content[content.rindex(b"\xff\xda") : -2]
    usual = content.count(b"\xff\xda")
    assert usual > 5
    (tmp_path / "x.jpg").write_bytes(content[:-2] + last * 200 + content[-2:])
    with pytest.raises(InputError, match=f"64 scans or fewer, found {200 + usual}"):
        load_photo(tmp_path / "x.jpg")
    # What looks like scans within other data, a film behind the image for one, does not count.
    (tmp_path / "x.jpg").write_bytes(content + b"\xff\xda" * 200)
    assert_near(tmp_path / "x.jpg", drawing, mean=5)


def test_strips_are_not_seen(gray, tmp_path, monkeypatch):
    rows = np.repeat(gray[..., None], 3, 2)
    rows[::7] = 255
    image = Image.fromarray(rows).convert("RGBA")
    image.putalpha(Image.fromarray(gray))
    image.save(tmp_path / "x.png")
    whole = load_photo(tmp_path / "x.png")
    monkeypatch.setattr(photo_pixels, "_STRIP_PIXELS", 1000)
    np.testing.assert_array_equal(load_photo(tmp_path / "x.png"), whole)


def test_folders_name_what_they_hold_beside_images(drawing, tmp_path):
    drawing.save(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").rename(tmp_path / "no-ending")
    drawing.save(tmp_path / "a.PNG")
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.warns(LeftOutWarning, match=r"left out, because they are no images: folder, notes\.txt$"):
        found = list_photos([tmp_path])
    assert [path.name for path in found] == ["a.PNG", "c.heic", "gone.jpg", "no-ending"]
