"""Each public function of photographs says what it takes, converts what is clear, and refuses the rest."""

import jax.numpy as jnp
import numpy as np
import pytest
import skimage
from PIL import Image

import jaxedit
from jaxedit.attributes.faces.crop import prepare_images
from jaxedit.errors import InputError
from jaxedit.inversion import align_face, cut_quad, detect_faces, ffhq_quad
from jaxedit.inversion.image_arguments import as_batch, as_pixels
from jaxedit.inversion.reconstruction_quality import compare
from tests.inversion.small_generator import small_generator

RGB = skimage.data.astronaut()[:256, 100:356]
FLOATS = RGB.astype(np.float32) / 127.5 - 1
GRAY = np.asarray(Image.fromarray(RGB).convert("L"))
HALF_CLEAR = np.concatenate([RGB, np.full((256, 256, 1), 128, np.uint8)], 2)
TURNED = Image.fromarray(RGB).rotate(90)
TURNED.getexif()[0x0112] = 6

# What → the RGB bytes that it means.
MEANT = {
    "uint8": (RGB, RGB),
    "float32": (FLOATS, RGB),
    "float64": (FLOATS.astype(np.float64), RGB),
    "JAX": (jnp.asarray(FLOATS), RGB),
    "Pillow": (Image.fromarray(RGB), RGB),
    "Pillow, gray": (Image.fromarray(GRAY), np.repeat(GRAY[..., None], 3, 2)),
    "Pillow, turned": (TURNED, RGB),
    "gray": (GRAY, np.repeat(GRAY[..., None], 3, 2)),
    "gray, one channel": (GRAY[..., None], np.repeat(GRAY[..., None], 3, 2)),
    "RGBA": (np.dstack([RGB, np.full((256, 256), 255, np.uint8)]), RGB),
    "RGBA, half clear": (HALF_CLEAR, np.round((RGB * 128.0 + 255 * 127) / 255).astype(np.uint8)),
    "not contiguous": (RGB[:, ::-1][:, ::-1], RGB),
}
WRONG = {
    "floats of 0…255": (RGB.astype(np.float32), r"floats in \[-1, 1\], got 0 … 255: .*0…255"),
    "floats of 0…1": (RGB / 255, r"floats in \[-1, 1\], got 0 … 1: .*0…1"),
    "floats of -128…127": (RGB.astype(np.float32) - 128, r"got -128 … 127"),
    "NaN": (np.where(GRAY[..., None] > 200, np.nan, FLOATS), "NaN"),
    "integers": (RGB.astype(np.int64), "expected uint8, or floats .* int64"),
    "16 bits": (RGB.astype(np.uint16) * 257, "expected uint8, or floats .* uint16"),
    "booleans": (RGB > 9, "expected uint8, or floats .* bool"),
    "channels first": (RGB.transpose(2, 0, 1), r"\[3, 256, 256\] of uint8.* channels come first"),
    "two channels": (RGB[..., :2], r"got \[256, 256, 2\]"),
    "one dimension": (RGB[0, :, 0], r"got \[256\]"),
    "nothing": (RGB[:0], r"got \[0, 256, 3\]"),
    "RGBA of floats": (np.dstack([FLOATS, FLOATS[..., 0]]), "RGBA as uint8"),
    "text": ("photo.jpg", "load_photo"),
    "None": (None, "got NoneType"),
}


@pytest.mark.parametrize("name", MEANT)
def test_what_is_clear_is_converted(name):
    given, meant = MEANT[name]
    pixels = as_pixels(given)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - meant).max() <= 1
    (batch,) = as_batch(given, min_side=64, max_side=4096)
    np.testing.assert_allclose(batch, pixels / 127.5 - 1, atol=0.005)


@pytest.mark.parametrize("name", WRONG)
def test_the_rest_is_refused_by_shape_type_and_range(name):
    given, message = WRONG[name]
    for convert in (as_pixels, lambda x, name: as_batch(x, name, min_side=64, max_side=4096)):
        unchecked = getattr(convert, "__wrapped__", convert)
        with pytest.raises(InputError, match=f"^thing: .*{message}"):
            unchecked(given, "thing")


def test_batches():
    take = {"min_side": 64, "max_side": 4096}
    assert as_batch([RGB, FLOATS, Image.fromarray(RGB)], **take).shape == (3, 256, 256, 3)
    assert as_batch(np.stack([RGB, RGB]), **take).shape == (2, 256, 256, 3)
    overshoot = as_batch(1.5 * FLOATS, **take)  # as a generator's images do
    assert float(overshoot.max()) == 1 and float(overshoot.min()) == -1
    for wrong, message in [
        ([RGB, RGB[:128, :128]], "images of one size"),
        ([], "images of one size, got none"),
        (RGB[:128], r"square RGB\), got \[1, 128, 256, 3\]: `jaxedit.align`"),
        (RGB[:60, :60], "64 pixels a side or more, got 60"),
        (np.broadcast_to(np.uint8(0), (4097, 4097, 3)), "4096 pixels a side or fewer, got 4097"),
        ([np.stack([RGB, RGB])], "images of one size"),
    ]:
        with pytest.raises(InputError, match=message):
            as_batch(wrong, **take)


def test_one_gray_photograph_has_its_face():
    (face,) = jaxedit.align(GRAY, 64)
    (of_pillow,) = jaxedit.align(Image.fromarray(GRAY), 64)
    np.testing.assert_array_equal(face.image, of_pillow.image)
    (same,) = detect_faces(np.repeat(GRAY[..., None], 3, 2))
    np.testing.assert_array_equal(face.landmarks, same.landmarks)
    np.testing.assert_array_equal(align_face(GRAY, face.landmarks, 64), face.image)
    np.testing.assert_array_equal(cut_quad(GRAY, face.quad, 64), face.image)


def test_every_function_names_its_argument():
    generator = small_generator()
    w_plus = np.zeros((generator.num_ws, generator.w_dim), np.float32)
    bad = RGB.astype(np.float32)
    for name, call in {
        "photo": lambda: jaxedit.align(bad),
        "images": lambda: jaxedit.project(generator, bad),
        "image": lambda: jaxedit.tune(generator, bad, w_plus),
        "originals": lambda: compare(bad, RGB),
        "reconstructions": lambda: compare(RGB, bad),
        "image: expected floats": lambda: jaxedit.save_image(bad, "x.png"),
    }.items():
        with pytest.raises(InputError, match=rf"^{name}.* got 0 … 255"):
            call()
    for shape, message in [((3, 16), r"\[3, 16\] of float32"), ((2, 10, 16), r"\[2, 10, 16\]")]:
        with pytest.raises(InputError, match=f"w_plus: expected floats of shape .* got {message}"):
            jaxedit.tune(generator, RGB, np.zeros(shape, np.float32))
        start = jaxedit.LatentPrior(initial=np.zeros(shape, np.float32))
        with pytest.raises(InputError, match="initial: expected floats of shape"):
            jaxedit.project(generator, RGB, prior=start)
    with pytest.raises(InputError, match=r"w_plus: expected floats .* of int64"):
        jaxedit.tune(generator, RGB, np.zeros((10, 16), int))
    with pytest.raises(InputError, match=r"quad: expected \[4, 2\]"):
        cut_quad.__wrapped__(RGB, np.zeros((3, 2)), 64)
    with pytest.raises(InputError, match=r"landmarks: expected \[68, 2\]"):
        ffhq_quad.__wrapped__(np.zeros((5, 2)))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.ones((2, 8, 8)), "one for each of 1 images, got 2"),
        (-np.ones((8, 8)), "0 or more"),
        (np.full((8, 8), np.nan), "finite"),
        (np.ones((1, 8, 8, 1)), r"\[batch, height, width\]"),
    ],
)
def test_masks(masks, message):
    with pytest.raises(InputError, match=f"masks: .*{message}"):
        jaxedit.project.__wrapped__(small_generator(), RGB, masks=masks)


def test_networks_take_bytes_as_bytes():
    images = np.stack([RGB, RGB])
    np.testing.assert_allclose(prepare_images(jnp.asarray(images)), images / 127.5 - 1, atol=1e-6)
    with pytest.raises(InputError, match="int32"):
        prepare_images(jnp.asarray(images, jnp.int32))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((1, 64, 64, 3), np.uint8), "one at a time"),
        (np.zeros((64, 64), np.uint8), r"\[height, width, channels\]"),
        (np.zeros((64, 64, 3), np.int32), "int32"),
        (np.full((64, 64, 3), np.nan), "NaN"),
    ],
)
def test_images_that_cannot_be_saved(tmp_path, image, message):
    with pytest.raises(InputError, match=message):
        jaxedit.save_image.__wrapped__(image, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())
