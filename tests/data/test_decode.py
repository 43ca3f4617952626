import csv
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.data.album import encoded, noise, smooth

from vertebra.data import decode as module
from vertebra.data.decode import BrokenImage, decode, decode_pixels, probe
from vertebra.data.pixels import pixels_of


def pixels(data: bytes, channels: int = 3) -> np.ndarray:
    """Returns what decoding gives, checked against what every picture must be."""
    image = decode(data, "file", channels)
    assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    assert np.array_equal(np.asarray(image), np.asarray(decode(data, "file", channels)))
    assert np.array_equal(pixels_of(image), decode_pixels(data, "file", channels))
    return np.asarray(image)


def reason(data: bytes) -> str:
    with pytest.raises(BrokenImage) as caught:
        decode(data, "some/file.png", 3)
    assert str(caught.value).startswith("some/file.png is no readable image: ")
    with pytest.raises(BrokenImage) as again:
        decode_pixels(data, "some/file.png", 3)
    assert again.value.reason == caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA", "QOI"])
def test_lossless_formats_come_back_to_the_bit(kind: str):
    if kind not in Image.SAVE:
        Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {kind}")
    picture = noise(5, 3)
    assert np.array_equal(pixels(encoded(picture, kind)), np.asarray(picture))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "JPEG2000"])
def test_lossy_formats_come_back_nearly(kind: str):
    picture = smooth(32, 24)
    error = np.abs(pixels(encoded(picture, kind)).astype(int) - np.asarray(picture)).mean()
    assert error < 8


@pytest.mark.parametrize(("channels", "shape"), [(1, (3, 5)), (3, (3, 5, 3)), (4, (3, 5, 4))])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_gives_every_number_of_channels(mode: str, channels: int, shape: tuple):
    picture = noise(5, 3, mode="L")
    wide = mode in ("I;16", "I", "F")
    kind = "TIFF" if wide or mode == "CMYK" else "PNG"
    picture = picture.convert("I").convert(mode) if mode == "I;16" else picture.convert(mode)
    assert pixels(encoded(picture, kind), channels).shape == shape


def test_one_bit_becomes_black_and_white():
    picture = Image.fromarray(np.eye(4, dtype=bool))
    assert np.array_equal(pixels(encoded(picture), 1), np.eye(4, dtype=np.uint8) * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str):
    values = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    assert pixels(encoded(Image.fromarray(values), kind), 1).tolist() == [[0, 1, 100, 255]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 25700.0, 65535.0], [0, 100, 255]),
        ([-1.0, 0.0, 3.0], [0, 64, 255]),
        ([-2.0, -2.0, -2.0], [0, 0, 0]),
    ],
)
def test_floats_are_scaled_from_the_range_that_holds_them(values: list, expected: list):
    picture = Image.fromarray(np.array([values], dtype=np.float32))
    assert pixels(encoded(picture, "TIFF"), 1).tolist() == [expected]


def test_floats_that_are_no_numbers_are_refused():
    picture = Image.fromarray(np.array([[0.0, np.nan]], dtype=np.float32))
    assert "NaN" in reason(encoded(picture, "TIFF"))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_what_is_transparent_becomes_white_unless_alpha_is_wanted(mode: str):
    picture = Image.new("RGBA", (2, 1), (10, 10, 10, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    if mode == "P":
        picture = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
        picture.putpalette([10, 10, 10, 0, 0, 0])
        data = encoded(picture, transparency=1)
    else:
        data = encoded(picture.convert(mode))
    assert pixels(data, 3).tolist() == [[[10] * 3, [255] * 3]]
    assert pixels(data, 1).tolist() == [[10, 255]]
    assert pixels(data, 4)[0, :, 3].tolist() == [255, 0]


def test_the_transparent_colour_of_a_colour_picture_is_heeded():
    picture = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    data = encoded(picture, transparency=(4, 5, 6))
    assert pixels(data, 3).tolist() == [[[1, 2, 3], [255] * 3]]


def test_lab_becomes_the_colours_it_means():
    rgb = smooth(8, 8)
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.buildTransform(*profiles, "RGB", "LAB").apply(rgb)
    back = pixels(encoded(lab, "TIFF")).astype(int)
    assert np.abs(back - np.asarray(rgb)).mean() < 2


def test_cmyk_jpeg_is_no_negative():
    picture = Image.new("RGB", (16, 16), (200, 40, 30))
    mean = pixels(encoded(picture.convert("CMYK"), "JPEG")).mean((0, 1))
    assert np.abs(mean - [200, 40, 30]).max() < 12


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(orientation: int, kind: str):
    upright = smooth(24, 16)
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # stored a quarter turn to the left of how it is seen
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    seen = pixels(encoded(stored, kind, exif=exif)).astype(int)
    assert seen.shape == (16, 24, 3)
    assert np.abs(seen - np.asarray(upright)).mean() < 6


def test_jpegs_take_the_short_way_where_pillow_would_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    taken: list[int] = []

    def jpeg_pixels(data: bytes, channels: int) -> None:
        taken.append(channels)

    monkeypatch.setattr(module, "jpeg_pixels", jpeg_pixels)
    turned = Image.Exif()
    turned[0x0112] = 6
    colour, grey = encoded(noise(8, 8), "JPEG"), encoded(noise(8, 8, mode="L"), "JPEG")
    for data, channels in ((colour, 3), (grey, 3), (grey, 1)):
        pixels(data, channels)
    assert taken == [3, 3, 1]
    for data, channels in (
        (colour, 1),
        (colour, 4),
        (grey, 4),
        (encoded(noise(8, 8).convert("CMYK"), "JPEG"), 3),
        (encoded(noise(8, 8), "JPEG", exif=turned), 3),
        (encoded(noise(8, 8), "PNG"), 3),
    ):
        pixels(data, channels)
    assert taken == [3, 3, 1]


def test_a_broken_exif_block_does_not_matter():
    picture = smooth(16, 16)
    data = encoded(picture, "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff broken")
    assert pixels(data).shape == (16, 16, 3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind: str):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.abs(pixels(data).astype(int) - [255, 0, 0]).max() <= 3


def test_a_wrong_ending_does_not_matter():
    assert decode(encoded(noise(4, 4), "WEBP"), "named.jpg", 3).size == (4, 4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_file_that_is_cut_off_is_refused(kind: str):
    data = encoded(noise(64, 64), kind)
    assert reason(data[: len(data) * 6 // 10])


def test_what_is_no_image_is_refused_with_what_it_begins_with():
    assert reason(b"") == "the file is empty"
    assert "b'hello wo'" in reason(b"hello world")
    assert "no known image format" in reason(b"%!PS-Adobe-3.0 EPSF-3.0\n")  # never run


def test_a_file_that_claims_too_many_pixels_is_refused_at_once(monkeypatch: pytest.MonkeyPatch):
    bomb = (
        b"GIF89a\xff\xff\xff\xff\x00\x00\x00,"
        + bytes(4)
        + b"\xff\xff\xff\xff\x00\x02\x02L\x01\x00;"
    )
    assert "pixels" in reason(bomb)
    with pytest.raises(BrokenImage, match="pixels"):
        probe(bomb, "bomb.gif")
    monkeypatch.setattr(module, "MAX_PIXELS", 15)
    assert reason(encoded(noise(4, 4))) == "it claims 4 x 4 pixels, and 15 are allowed"


def test_the_header_is_enough_for_a_probe():
    data = encoded(noise(64, 64))
    probe(data[:100], "file")
    with pytest.raises(BrokenImage):
        probe(b"nothing", "file")


@pytest.mark.data
def test_the_odd_files_become_what_their_manifest_says(packs: Path):
    with (packs / "odd-images/manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 41
    for row in rows:
        data = (packs / "odd-images/files" / row["file"]).read_bytes()
        if row["reference_decoder"] != "decodes":
            reason(data)
            continue
        width, height = map(int, row["size_after_exif_wxh"].split("x"))
        seen = pixels(data)
        assert seen.shape == (height, width, 3), row["file"]
        if row["mode"] == "I;16":
            assert (seen == 255).mean() + seen.std() > 0 and (seen == 255).mean() < 0.5
        if row["file"] == "hopper_bw_500.png":
            assert set(np.unique(seen)) == {0, 255}


@pytest.mark.data
def test_odd_portraits_look_like_the_plain_one(packs: Path):
    files = packs / "odd-images/files"
    plain = pixels((files / "hopper_8bit.ppm").read_bytes()).astype(int)
    for name in (
        *("hopper_orientation_3.jpg", "hopper_orientation_6.jpg", "hopper_orientation_5.webp"),
        *("hopper.webp", "hopper.Lab.tif", "hopper_rle8.bmp", "webp_named.jpg"),
    ):
        other = pixels((files / name).read_bytes()).astype(int)
        assert np.abs(other - plain).mean() < 20, name


@pytest.mark.data
def test_a_cmyk_photo_has_natural_colours(packs: Path):
    seen = pixels((packs / "odd-images/files/pil_sample_cmyk.jpg").read_bytes())
    raw = Image.open(BytesIO((packs / "odd-images/files/pil_sample_cmyk.jpg").read_bytes()))
    assert np.array_equal(seen, np.asarray(raw.convert("RGB")))
