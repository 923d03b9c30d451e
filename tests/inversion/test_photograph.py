import subprocess
import sys
import warnings

import numpy as np
import pytest
import skimage
from PIL import Image, ImageCms, PngImagePlugin

from jaxedit.errors import InputError, LeftOutWarning, OutputError
from jaxedit.inversion import photo_pixels
from jaxedit.inversion.photograph import read_photograph
from tests.inversion import photo_files

PLACE = (slice(40, 70), slice(50, 90))
"""What is edited, in the upright photograph."""


@pytest.fixture(scope="module")
def drawing() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut()[:160, 150:270])


def edited_pixels(photograph) -> np.ndarray:
    pixels = photograph.pixels.copy()
    pixels[PLACE] = pixels[PLACE] // 2 + 90
    return pixels


def written(path, **options):
    """The photograph, its edited pixels, and the edited photograph, written beside it and read again."""
    photograph = read_photograph(path)
    edited = edited_pixels(photograph)
    out = photograph.write(path.with_name(f"edited{path.suffix}"), edited, **options)
    return photograph, edited, read_photograph(out)


def stored(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def differences(pixels, expected) -> tuple[float, float]:
    """Mean differences within the edited place and outside, in levels."""
    difference = np.abs(pixels.astype(int) - expected)
    outside = np.ones(difference.shape[:2], bool)
    outside[PLACE] = False
    return float(difference[PLACE].mean()), float(difference[outside].mean())


MODES = [
    ("x.png", "L", "L"),
    ("x.png", "LA", "LA"),
    ("x.png", "P", "RGB"),
    ("x.png", "1", "RGB"),
    ("x.png", "RGB", "RGB"),
    ("x.png", "RGBA", "RGBA"),
    ("x.png", "I;16", "I;16"),
    ("x.tif", "RGB", "RGB"),
    ("x.tif", "CMYK", "CMYK"),
    ("x.tif", "F", "F"),
    ("x.webp", "RGB", "RGB"),
    ("x.bmp", "RGB", "RGB"),
    ("x.ppm", "RGB", "RGB"),
    ("x.tga", "RGBA", "RGBA"),
    ("x.jp2", "RGB", "RGB"),
]


@pytest.mark.parametrize(("name", "mode", "expected"), MODES)
def test_formats_without_loss(drawing, tmp_path, name, mode, expected):
    if mode == "I;16":
        image = Image.fromarray(np.asarray(drawing.convert("L")).astype(np.uint16) * 257 + 77)
    else:
        image = drawing.convert(mode)
    if mode in ("LA", "RGBA"):
        alpha = np.full((160, 120), 255, np.uint8)
        alpha[:80] = np.linspace(0, 255, 120).astype(np.uint8)
        image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / name, **({"lossless": True} if name == "x.webp" else {}))
    before, edited, after = written(tmp_path / name)
    assert (after.format, after.mode, after.size) == (before.format, expected, before.size)
    inside, outside = differences(after.pixels, edited)
    assert outside == 0
    # Nearly transparent pixels cannot become darker than white; gray and palettes are edited in gray here too.
    assert inside < (40 if mode in ("LA", "RGBA") else 0.6)
    if mode == before.mode == expected:
        same = np.ones((160, 120), bool)
        same[PLACE] = False
        np.testing.assert_array_equal(stored(tmp_path / name)[same], stored(after.path)[same])
    if mode == "RGBA":
        np.testing.assert_array_equal(stored(after.path)[..., 3], alpha)


@pytest.mark.parametrize(
    ("name", "mode"), [("x.jpg", "RGB"), ("x.jpg", "L"), ("x.jpg", "CMYK"), ("x.webp", "RGB")]
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_formats_with_loss(drawing, tmp_path, name, mode, orientation):
    data = photo_files.exif_data(orientation=orientation)
    drawing.convert(mode).save(tmp_path / name, quality=85, exif=b"Exif\0\0" + data, dpi=(240, 240))
    before, edited, after = written(tmp_path / name)
    assert (after.mode, after.size, after.orientation) == (before.mode, before.size, orientation)
    assert max(differences(after.pixels, edited)) < 4
    assert differences(after.pixels, edited)[1] < (0.3 if name == "x.jpg" else 1.5)
    if name == "x.jpg":
        with Image.open(before.path) as one, Image.open(after.path) as other:
            assert one.quantization == other.quantization
            assert one.info["dpi"] == other.info["dpi"]


@pytest.mark.parametrize("ending", [".heic", ".avif"])
def test_formats_of_telephones(drawing, tmp_path, ending):
    import pillow_heif

    pillow_heif.register_heif_opener()
    path, data = tmp_path / f"x{ending}", photo_files.exif_data(orientation=6)
    drawing.save(path, quality=90, exif=b"Exif\0\0" + data, icc_profile=photo_files.swapped_profile())
    before, edited, after = written(path)
    assert before.size == (160, 120)
    assert (after.size, after.profile, after.format) == (before.size, before.profile, before.format)
    assert max(differences(after.pixels, edited)) < 2.5
    with Image.open(after.path) as image:
        exif = image.getexif()
    assert exif.get_ifd(0x8769)[0x9003] == "2024:01:01 00:00:00"
    assert not exif.get_ifd(0x8825)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_orientation_is_that_of_the_file(drawing, tmp_path, orientation):
    data = b"Exif\0\0" + photo_files.exif_data(orientation=orientation)
    drawing.save(tmp_path / "x.png", exif=data)
    before, edited, after = written(tmp_path / "x.png")
    assert after.orientation == orientation and stored(after.path).shape == (160, 120, 3)
    np.testing.assert_array_equal(after.pixels, edited)
    # In another format it is upright: few programs turn a PNG.
    upright = read_photograph(before.write(tmp_path / "upright.tif", edited))
    assert upright.orientation in (None, 1) and upright.size == before.size
    np.testing.assert_array_equal(upright.pixels, edited)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("with_profile", [False, True])
def test_sixteen_bits_of_color(drawing, tmp_path, channels, with_profile, monkeypatch):
    monkeypatch.setattr(photo_pixels, "_STRIP_PIXELS", 3000)
    rng = np.random.default_rng(0)
    mode = {3: "RGB", 4: "RGBA"}[channels]
    pixels = np.asarray(drawing.convert(mode)).astype(np.uint16) * 256 + rng.integers(
        0, 256, (160, 120, channels)
    )
    chunks = photo_files.png_chunk(b"tEXt", b"Author\0somebody") + photo_files.png_chunk(
        b"eXIf", photo_files.exif_data(orientation=3)
    )
    (tmp_path / "x.png").write_bytes(photo_files.png_of_16_bits(pixels, chunks=chunks))
    if with_profile:
        with Image.open(tmp_path / "x.png") as image:
            image.convert("RGB").resize((2, 2)).save(
                tmp_path / "p.png", icc_profile=photo_files.swapped_profile()
            )
        start, rest = (tmp_path / "x.png").read_bytes(), (tmp_path / "p.png").read_bytes()
        place = rest.index(b"iCCP") - 4
        profile = rest[place : place + 12 + int.from_bytes(rest[place : place + 4], "big")]
        (tmp_path / "x.png").write_bytes(start[:33] + profile + start[33:])
    before, edited, after = written(tmp_path / "x.png")
    assert (before.bits, before.mode, after.bits, after.mode) == (16, mode, 16, mode)
    assert after.profile == before.profile and (after.profile is not None) == with_profile
    assert differences(after.pixels, edited)[0] < 1.5 and differences(after.pixels, edited)[1] == 0
    same = np.ones((160, 120), bool)
    same[PLACE] = False
    same = same[::-1, ::-1]  # orientation 3
    np.testing.assert_array_equal(all_bits(after.path)[same], pixels[same])
    with Image.open(after.path) as image:
        image.load()
        assert image.info["Author"] == "somebody" and not image.getexif().get_ifd(0x8825)


def all_bits(path) -> np.ndarray:
    """The values of a PNG of 16 bits a color."""
    with Image.open(path) as high, Image.open(path) as low:
        low.tile = [tile._replace(args=tile.args.replace("16B", "16L")) for tile in low.tile]
        return np.asarray(high).astype(np.uint16) * 256 + np.asarray(low)


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "swapped"), ("L", "gray"), ("CMYK", "ink"), ("RGBA", "swapped")]
)
def test_profiles_are_written_back(drawing, tmp_path, mode, kind):
    profile = {"swapped": photo_files.swapped_profile, "ink": photo_files.ink_profile}.get(kind)
    profile = photo_files.gray_profile(1.4) if profile is None else profile()
    drawing.convert(mode).save(tmp_path / "x.tif", icc_profile=profile)
    before, edited, after = written(tmp_path / "x.tif")
    assert after.profile == profile and after.mode == mode
    plain = np.asarray(drawing if mode != "L" else drawing.convert("L").convert("RGB"))
    assert np.abs(before.pixels.astype(int) - plain).mean() > 5  # the profile was applied
    assert differences(after.pixels, edited)[1] == 0
    if kind != "ink":  # whose two directions do not belong together
        gray = edited[PLACE] @ [0.299, 0.587, 0.114]
        expected = edited[PLACE] if mode != "L" else np.repeat(gray[..., None], 3, -1)
        assert np.abs(after.pixels[PLACE] - expected).mean() < 1.5


def test_black_ink_stays_where_nothing_was_edited(tmp_path):
    pixels = np.zeros((80, 80, 4), np.uint8)
    pixels[..., 0] = np.arange(80)
    pixels[..., 3] = 200  # black ink: the conversion to RGB and back would lose it
    Image.fromarray(pixels, "CMYK").save(tmp_path / "x.tif")
    photograph = read_photograph(tmp_path / "x.tif")
    edited = photograph.pixels.copy()
    edited[:10] += 1
    out = photograph.write(tmp_path / "y.tif", edited)
    found = stored(out)
    np.testing.assert_array_equal(found[10:], pixels[10:])
    assert found[:10, :, 3].min() >= 199  # a small change moves the ink by little
    np.testing.assert_array_equal(read_photograph(out).pixels, edited)


def test_colors_beyond_srgb_stay_where_nothing_was_edited(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = bytearray(srgb)
    for tag in (b"rXYZ", b"gXYZ", b"bXYZ"):  # stronger colors, of the same white
        place = int.from_bytes(wide[wide.index(tag) + 4 :][:4], "big") + 8
        color = np.frombuffer(wide[place : place + 12], ">i4")
        gray = np.asarray(photo_files.D50) * color[1]
        wide[place : place + 12] = np.round(gray + 1.3 * (color - gray)).astype(">i4").tobytes()
    colors = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    Image.fromarray(colors).save(tmp_path / "x.png", icc_profile=bytes(wide))
    photograph = read_photograph(tmp_path / "x.png")
    assert (photograph.pixels == 0).mean() > 0.05  # beyond sRGB, and clipped
    edited = photograph.pixels.copy()
    edited[:20] = np.clip(edited[:20].astype(int) + 2, 0, 255)
    edited[20:40] = (150, 120, 100)
    found = stored(photograph.write(tmp_path / "y.png", edited))
    np.testing.assert_array_equal(found[40:], colors[40:])
    assert np.abs(found[:20].astype(int) - colors[:20]).max() < 16  # no seam where an edit fades out
    assert np.abs(read_photograph(tmp_path / "y.png").pixels[20:40].astype(int) - (150, 120, 100)).mean() < 8


def test_position_and_thumbnail_are_removed_in_place(drawing, tmp_path):
    data = photo_files.exif_data(thumbnail=b"\xff\xd8 an old face \xff\xd9")
    drawing.save(tmp_path / "x.jpg", exif=b"Exif\0\0" + data)
    before, edited, after = written(tmp_path / "x.jpg")
    assert before.exif == data and len(after.exif) == len(data)
    assert b"an old face" in before.exif and b"an old face" not in after.exif
    note = data.index(b"the maker's note")
    assert after.exif[note : note + 16] == b"the maker's note"  # at its address
    with Image.open(after.path) as image:
        exif = image.getexif()
        assert exif[0x010F] == "Maker" and exif[0x0112] == 6
        assert exif.get_ifd(0x8769)[0x9003] == "2024:01:01 00:00:00"
        assert not exif.get_ifd(0x8825) and not exif.get_ifd(1)
    kept = before.write(tmp_path / "kept.jpg", edited, keep_position=True)
    with Image.open(kept) as image:
        assert image.getexif().get_ifd(0x8825)[2] == (48.0, 51.0, 29.25)


def test_position_in_xmp_is_removed(drawing, tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPSLatitude="48,51N" dc:title="T"/>'
    xmp += b"<exif:GPSLongitude>2,17E</exif:GPSLongitude></x:xmpmeta>"
    for name in ("x.jpg", "x.png", "x.webp", "x.tif"):
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options = {"x.tif": {"tiffinfo": {700: xmp}}, "x.png": {"pnginfo": text}}
        drawing.save(tmp_path / name, **options.get(name, {"xmp": xmp}))
        before, edited, after = written(tmp_path / name)
        assert b"48,51N" in before.metadata.xmp and b"2,17E" in before.metadata.xmp
        assert b'dc:title="T"' in after.metadata.xmp
        assert b"GPS" not in after.metadata.xmp and b"2,17E" not in after.metadata.xmp
        kept = read_photograph(before.write(tmp_path / f"kept_{name}", edited, keep_position=True))
        assert b"48,51N" in kept.metadata.xmp


def test_damaged_exif_data_are_left_out_with_a_note(drawing, tmp_path):
    drawing.save(tmp_path / "x.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\1\x12", comment=b"a comment")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        photograph = read_photograph(tmp_path / "x.jpg")
    with pytest.warns(LeftOutWarning, match=r"x\.jpg: left out .* EXIF data, which are damaged"):
        out = photograph.write(tmp_path / "y.jpg", photograph.pixels)
    with Image.open(out) as image:
        assert "exif" not in image.info and image.info["comment"] == b"a comment"


def test_further_images_are_left_out_with_a_note(drawing, tmp_path):
    drawing.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[drawing.rotate(9)])
    with pytest.warns(LeftOutWarning, match="further images"):
        _, edited, after = written(tmp_path / "x.jpg")
    assert after.format == "JPEG" and max(differences(after.pixels, edited)) < 5
    drawing.save(tmp_path / "x.tif", save_all=True, append_images=[drawing])
    with pytest.warns(LeftOutWarning, match="1 further pages"):
        written(tmp_path / "x.tif")


@pytest.mark.parametrize(
    ("mode", "name", "message"),
    [
        ("CMYK", "y.png", r"PNG cannot hold CMYK.*\.jpg or \.tif"),
        ("RGBA", "y.jpg", r"JPEG cannot hold transparency.*\.png"),
        ("I;16", "y.jpg", r"JPEG cannot hold 16 bits of gray.*\.png or \.tif"),
        ("profile", "y.bmp", "BMP cannot hold a color profile"),
        ("RGB", "y.gif", r"such as \.jpg or \.png"),
        ("RGB", "y", r"such as \.jpg or \.png"),
        ("deep", "y.jpg", r"JPEG cannot hold 16 bits a color.*\.png"),
    ],
)
def test_formats_that_cannot_hold_it(drawing, tmp_path, mode, name, message):
    path = tmp_path / "x.tif"
    if mode == "deep":
        path = tmp_path / "x.png"
        path.write_bytes(photo_files.png_of_16_bits(np.zeros((64, 64, 3), np.uint16)))
    elif mode == "I;16":
        Image.fromarray(np.zeros((64, 64), np.uint16)).save(path)
    elif mode == "profile":
        drawing.save(path, icc_profile=photo_files.swapped_profile())
    else:
        drawing.convert(mode).save(path)
    photograph = read_photograph(path)
    with pytest.raises(OutputError, match=message):
        photograph.write(tmp_path / name, photograph.pixels)
    assert not (tmp_path / name).exists()


def test_refused_pixels_and_paths(drawing, tmp_path):
    drawing.save(tmp_path / "x.png")
    photograph = read_photograph(tmp_path / "x.png")
    for edited in (photograph.pixels[1:], photograph.pixels.astype(np.float32)):
        with pytest.raises(InputError, match=r"edited: expected \[160, 120, 3\] of uint8, as x\.png has"):
            photograph.write(tmp_path / "y.png", edited)
    with pytest.raises(InputError, match="another file than the photograph itself"):
        photograph.write(tmp_path / "x.png", photograph.pixels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.png"]


def test_the_array_may_be_edited_in_place(drawing, tmp_path):
    drawing.save(tmp_path / "x.png")
    photograph = read_photograph(tmp_path / "x.png")
    photograph.pixels[PLACE] = 7
    (tmp_path / "x.png").unlink()  # its content is kept
    found = stored(photograph.write(tmp_path / "y.png", photograph.pixels))
    assert (found[PLACE] == 7).all()
    assert (found[0] == np.asarray(drawing)[0]).all()


def test_memory_of_a_large_photograph(tmp_path):
    """A process of its own reads and writes 40 megapixels in less than two copies of four bytes a pixel."""
    Image.new("RGB", (8000, 5000), (9, 99, 199)).save(tmp_path / "x.jpg", quality=90)
    code = """
import resource, sys
from jaxedit.inversion.photograph import read_photograph
most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = most()
photograph = read_photograph(sys.argv[1])
pixels = photograph.pixels
pixels[100:200, 100:200] = 255
photograph.write(sys.argv[2], pixels)
print((most() - before) / (8000 * 5000))
"""
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.jpg", tmp_path / "y.jpg"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(run.stdout) < 8  # bytes a pixel: 4 of Pillow, 3 of the pixels
