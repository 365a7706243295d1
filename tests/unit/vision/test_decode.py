"""What a camera may send is decoded; everything else is refused with the right reason, before it costs memory."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from inspector.domain.errors import FrameRejectedError
from inspector.domain.outcome import RejectReason
from inspector.settings.sections import LimitSettings
from inspector.vision.decode import DecodeLimits, check, decode, decode_full, decode_view

LIMITS = DecodeLimits()


def picture(width: int = 320, height: int = 256) -> NDArray[np.uint8]:
    """Left half red, right half blue, a green bar on top: tells mirrored, turned and channel-swapped frames apart."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2, 0] = 220
    rgb[:, width // 2 :, 2] = 220
    rgb[: height // 4] = (0, 220, 0)
    return rgb


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(width: int = 320, height: int = 256, **options: object) -> bytes:
    return encode(Image.fromarray(picture(width, height)), "JPEG", quality=95, **options)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(side: int) -> bytes:
    """A valid grey PNG of side x side zeros: two megabytes for 400 Mpx."""
    squeeze = zlib.compressobj(1)
    rows = b"\0" * (side + 1)
    body = b"".join(squeeze.compress(rows) for _ in range(side)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks)


def reason(image: bytes, content_type: str = "image/jpeg", limits: DecodeLimits = LIMITS) -> RejectReason:
    with pytest.raises(FrameRejectedError) as caught:
        decode(image, content_type, limits, 64)
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize("size", [(320, 256), (64, 64), (40, 200), (1280, 1024), (1283, 517)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_frames_of_any_size_come_out_squeezed_upright_and_in_rgb(size: tuple[int, int], kind: str) -> None:
    image = encode(Image.fromarray(picture(*size)), kind)
    decoded = decode(image, f"image/{kind.lower()}", LIMITS, 64)
    assert decoded.pixels.shape == (64, 64, 3)
    assert decoded.pixels.dtype == np.uint8
    assert (decoded.width_px, decoded.height_px) == size
    for (x, y), colour in {(10, 40): (220, 0, 0), (54, 40): (0, 0, 220), (32, 5): (0, 220, 0)}.items():
        np.testing.assert_allclose(decoded.pixels[y, x], colour, atol=40)


def test_reduced_decoding_shows_the_same_picture_as_full_decoding() -> None:
    y, x = np.mgrid[0:1024, 0:1280]
    smooth = np.stack([x / 5.1, y / 4.1, 128 + 100 * np.sin(x / 90)], axis=-1).astype(np.uint8)
    image = encode(Image.fromarray(smooth), "JPEG", quality=95)
    expected = np.asarray(Image.fromarray(decode_full(image)).resize((256, 256), Image.Resampling.BOX), np.float64)
    difference = np.abs(decode(image, "image/jpeg", LIMITS, 256).pixels - expected)
    assert difference.mean() < 1
    assert difference.max() < 10


def test_grey_16_bit_alpha_palette_and_cmyk_frames_are_taken() -> None:
    rgb = Image.fromarray(picture())
    grey = np.full((256, 320), 130, np.uint8)
    sixteen = encode(Image.fromarray(grey.astype(np.uint16) * 256), "PNG")
    for name, image in {
        "grey jpeg": encode(Image.fromarray(grey), "JPEG"),
        "grey png": encode(Image.fromarray(grey), "PNG"),
        "16 bit": sixteen,
    }.items():
        content_type = "image/jpeg" if name.endswith("jpeg") else "image/png"
        np.testing.assert_allclose(decode(image, content_type, LIMITS, 64).pixels, 130, atol=2, err_msg=name)
    for name, image in {
        "alpha": encode(rgb.convert("RGBA"), "PNG"),
        "palette": encode(rgb.convert("P"), "PNG"),
        "cmyk": encode(rgb.convert("CMYK"), "JPEG", quality=95),
        "progressive": jpeg(progressive=True),
    }.items():
        pixels = decode(image, "", LIMITS, 64).pixels
        np.testing.assert_allclose(pixels[40, 10], (220, 0, 0), atol=45, err_msg=name)
        np.testing.assert_allclose(pixels[40, 54], (0, 0, 220), atol=45, err_msg=name)


def test_exif_orientation_is_ignored_so_that_coordinates_are_of_the_frame_as_captured() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees to show"
    turned = jpeg(exif=exif)
    for size in (64, 300):  # reduced and full decoding
        np.testing.assert_array_equal(
            decode(turned, "image/jpeg", LIMITS, size).pixels, decode(jpeg(), "image/jpeg", LIMITS, size).pixels
        )
    assert decode_full(turned).shape == (256, 320, 3)


def test_zero_bytes_are_empty() -> None:
    assert reason(b"") is RejectReason.EMPTY


def test_more_bytes_than_the_limit_are_too_large() -> None:
    image = jpeg()
    assert reason(image, limits=DecodeLimits(max_bytes=len(image) - 1)) is RejectReason.TOO_LARGE
    decode(image, "image/jpeg", DecodeLimits(max_bytes=len(image)), 64)


def test_more_pixels_than_the_limit_are_too_many() -> None:
    few = DecodeLimits(max_pixels=320 * 256 - 1)
    assert reason(jpeg(), limits=few) is RejectReason.TOO_MANY_PIXELS
    assert reason(png_bomb(1000), "image/png", DecodeLimits(max_pixels=999_999)) is RejectReason.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [("image/png", "JPEG"), ("image/jpeg", "PNG"), ("image/webp", "JPEG"), ("text/html", "PNG"), ("video/mp4", "JPEG")],
)
def test_a_declared_type_that_the_bytes_are_not_is_refused(content_type: str, kind: str) -> None:
    assert reason(encode(Image.fromarray(picture()), kind), content_type) is RejectReason.CONTENT_TYPE


@pytest.mark.parametrize("content_type", ["", "image/jpg", "IMAGE/JPEG", "image/jpeg; q=1", "application/octet-stream"])
def test_usual_spellings_of_a_jpeg_are_taken(content_type: str) -> None:
    decode(jpeg(), content_type, LIMITS, 64)


@pytest.mark.parametrize("image", [b"hello, line", b"\xff", b"GIF89a" + bytes(40), b"RIFF\0\0\0\0WEBPVP8 " + bytes(9)])
def test_what_is_neither_jpeg_nor_png_is_undecodable(image: bytes) -> None:
    assert reason(image, "") is RejectReason.UNDECODABLE


def test_a_damaged_png_is_undecodable_not_silently_half_decoded() -> None:
    image = bytearray(encode(Image.fromarray(picture()), "PNG"))
    image[len(image) // 2] ^= 0xFF
    assert reason(bytes(image), "image/png") is RejectReason.UNDECODABLE


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_frame_cut_short_is_truncated(kind: str, keep: float) -> None:
    image = encode(Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 320, 3), np.uint8)), kind)
    assert reason(image[: int(len(image) * keep)], f"image/{kind.lower()}") is RejectReason.TRUNCATED


def test_the_end_of_an_embedded_thumbnail_does_not_pass_for_the_end_of_the_frame() -> None:
    thumbnail = jpeg(32, 32)
    image = jpeg()
    app1 = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    with_thumbnail = image[:2] + app1 + image[2:]
    decode(with_thumbnail, "image/jpeg", LIMITS, 64)
    assert reason(with_thumbnail[:-10]) is RejectReason.TRUNCATED


def test_padding_after_the_end_of_the_image_is_harmless() -> None:
    decode(jpeg() + bytes(512), "image/jpeg", LIMITS, 64)
    decode(encode(Image.fromarray(picture()), "PNG") + bytes(512), "image/png", LIMITS, 64)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_ends_in_pixels_or_in_a_reason(data: st.DataObject) -> None:
    image = bytearray(data.draw(st.sampled_from([jpeg(64, 48), encode(Image.fromarray(picture(64, 48)), "PNG")])))
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    small = DecodeLimits(max_pixels=1_000_000)
    try:
        outcome: tuple[int, ...] | RejectReason = decode(bytes(image), "", small, 32).pixels.shape
    except FrameRejectedError as rejected:
        outcome = rejected.reason
    refusals = {RejectReason.UNDECODABLE, RejectReason.TRUNCATED, RejectReason.TOO_MANY_PIXELS}
    assert outcome == (32, 32, 3) or outcome in refusals


def png_of(width: int, height: int, depth: int, colour_type: int) -> bytes:
    """A valid PNG of zeros, however large it says it is, in a few hundred kilobytes at most."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    squeeze = zlib.compressobj(1)
    row = bytes(1 + width * samples * depth // 8)
    body = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks)


def jpeg_of(side: int, **options: object) -> bytes:
    return encode(Image.new("RGB", (side, side), (90, 120, 150)), "JPEG", **options)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(lambda: png_of(7071, 7071, 8, 0), id="grey"),
        pytest.param(lambda: png_of(7000, 7000, 16, 6), id="16 bit with alpha"),
        pytest.param(lambda: png_of(4000, 4000, 8, 2), id="colour"),
        pytest.param(lambda: jpeg_of(5000, progressive=True, subsampling=0), id="progressive"),
    ],
)
def test_a_small_file_of_a_large_picture_is_refused(image: Callable[[], bytes]) -> None:
    data = image()
    assert len(data) < 2_000_000
    assert reason(data, "") is RejectReason.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(lambda: jpeg_of(7000), id="49 Mpx JPEG"),
        pytest.param(lambda: jpeg_of(4000, progressive=True), id="16 Mpx progressive"),
        pytest.param(lambda: png_of(4096, 3000, 8, 2), id="12 Mpx PNG"),
        pytest.param(lambda: png_of(6000, 6000, 8, 0), id="36 Mpx grey PNG"),
    ],
)
def test_frames_as_large_as_area_cameras_send_are_taken(image: Callable[[], bytes]) -> None:
    decode(image(), "", LIMITS, 64)


def test_what_a_decoder_without_settings_takes_is_what_the_settings_say() -> None:
    taken = LimitSettings()
    assert DecodeLimits(taken.max_frame_bytes, taken.max_frame_pixels) == LIMITS


def test_an_animation_is_refused() -> None:
    image = encode(Image.fromarray(picture()), "PNG", save_all=True, append_images=[Image.fromarray(picture()[::-1])])
    assert reason(image, "image/png") is RejectReason.UNDECODABLE


def test_grey_with_alpha_is_grey() -> None:
    image = encode(Image.new("LA", (320, 256), (130, 7)), "PNG")
    np.testing.assert_array_equal(decode(image, "image/png", LIMITS, 64).pixels, 130)


@pytest.mark.parametrize(
    "filler",
    [b"\xff", b"\xff\xfe\x00\x02", b"\xff\xda\x00\x02"],
    ids=["fill bytes", "empty comments", "empty scans"],
)
def test_a_jpeg_of_nothing_but_markers_is_refused_after_few_steps(filler: bytes) -> None:
    start = jpeg()
    frame_header = start.index(b"\xff\xc0")
    image = start[: frame_header + 19] + filler * (2_000_000 // len(filler))
    steps = 0

    def count(_frame: FrameType, event: str, _arg: object) -> Callable[..., object]:
        nonlocal steps
        steps += event == "line"
        return count

    sys.settrace(count)
    try:
        with pytest.raises(FrameRejectedError):
            check(image, "image/jpeg", LIMITS)
    finally:
        sys.settrace(None)
    assert steps < 100_000


def test_a_png_of_nothing_but_chunks_is_refused() -> None:
    image = encode(Image.fromarray(picture()), "PNG")
    empty = png_chunk(b"tEXt", b"")
    decode(image[:33] + empty * 1000 + image[33:], "image/png", LIMITS, 64)
    assert reason(image[:33] + empty * 100_000 + image[33:], "image/png") is RejectReason.UNDECODABLE


def test_fill_bytes_before_a_marker_and_before_the_end_are_allowed() -> None:
    image = jpeg()
    padded = image[:2] + b"\xff" * 50 + image[2:-2] + b"\xff" * 50 + image[-2:]
    np.testing.assert_array_equal(
        decode(padded, "image/jpeg", LIMITS, 64).pixels, decode(image, "image/jpeg", LIMITS, 64).pixels
    )


def test_a_view_is_at_most_as_large_as_asked_and_shows_the_frame() -> None:
    for kind in ("JPEG", "PNG"):
        image = encode(Image.fromarray(picture(1283, 517)), kind)
        view = decode_view(image, (200, 80))
        assert view.shape == (80, 200, 3)
        np.testing.assert_allclose(view[60, 10], (220, 0, 0), atol=8)
        np.testing.assert_array_equal(decode_view(image, (1283, 517)), decode_full(image))


_MEMORY_PROBE = """
import re, sys, threading
from inspector.domain.errors import FrameRejectedError
from inspector.vision.decode import DecodeLimits, decode
normal, *images = [open(path, "rb").read() for path in sys.argv[1:]]
# Not getrusage, whose peak is inherited from the process that started this one.
peak_kib = lambda: int(re.search("VmHWM:\\s*([0-9]+)", open("/proc/self/status").read())[1])
decode(normal, "image/jpeg", DecodeLimits(), 256)
before = peak_kib()
reasons = []
def take(image):
    try:
        decode(image, "", DecodeLimits(), 256)
        reasons.append("taken")
    except FrameRejectedError as rejected:
        reasons.append(str(rejected.reason))
threads = [threading.Thread(target=take, args=(image,)) for image in images]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*sorted(reasons), (peak_kib() - before) // 1024)
"""


def in_memory_of_its_own(folder: Path, *images: bytes) -> tuple[list[str], int]:
    """Decode each image on its own thread in a fresh process: outcomes, and MiB above a normal frame's peak."""
    paths = [folder / str(number) for number in range(len(images) + 1)]
    for path, image in zip(paths, (jpeg(1280, 1024), *images), strict=True):
        path.write_bytes(image)
    probe = [sys.executable, "-c", _MEMORY_PROBE, *map(str, paths)]
    spawned = subprocess.run(probe, capture_output=True, check=True, timeout=60)
    *outcomes, grown_mib = spawned.stdout.decode().split()
    return outcomes, int(grown_mib)


@pytest.mark.parametrize("number", [1, 2])
def test_a_png_bomb_is_refused_without_memory(tmp_path: Path, number: int) -> None:
    outcomes, grown_mib = in_memory_of_its_own(tmp_path, *[png_bomb(20_000)] * number)
    assert set(outcomes) == {RejectReason.TOO_MANY_PIXELS}
    assert grown_mib < 20


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(lambda: png_of(3650, 3650, 8, 2), id="colour"),
        pytest.param(lambda: png_of(3650, 3650, 16, 6), id="16 bit with alpha"),
        pytest.param(lambda: png_of(6320, 6320, 8, 0), id="grey"),
        pytest.param(lambda: jpeg_of(3600, progressive=True, subsampling=0), id="progressive"),
        pytest.param(lambda: jpeg_of(7000), id="JPEG"),
    ],
)
def test_two_frames_just_under_the_limit_at_once_stay_within_100_mb(tmp_path: Path, image: Callable[[], bytes]) -> None:
    data = image()
    outcomes, grown_mib = in_memory_of_its_own(tmp_path, data, data)
    assert outcomes == ["taken", "taken"]
    assert grown_mib < 95  # of 1024 x 1024 bytes: 100 MB


_SHORT_OF_MEMORY = """
import os, resource, sys
from collections import Counter
from inspector.domain.errors import FrameRejectedError
from inspector.vision.decode import DecodeLimits, decode
normal, image = [open(path, "rb").read() for path in sys.argv[1:]]
decode(normal, "", DecodeLimits(), 256)
used_bytes = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
def outcome(room_bytes):
    resource.setrlimit(resource.RLIMIT_AS, (used_bytes + room_bytes,) * 2)
    try:
        decode(image, "", DecodeLimits(), 256)
    except FrameRejectedError:
        return 1
    except MemoryError:
        return 2
    return 0
counts = Counter()
for room_bytes in range(0, 100_000_000, 10_000_000):
    pid = os.fork()
    if pid == 0:
        os._exit(outcome(room_bytes))
    counts[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])] += 1
print(counts[0], counts[1], counts[2], counts.total())
"""


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(lambda: png_of(3000, 2500, 8, 2), id="PNG"),
        pytest.param(lambda: jpeg_of(7000), id="JPEG"),
        pytest.param(lambda: jpeg_of(3600, progressive=True, subsampling=0), id="progressive"),
    ],
)
def test_a_good_frame_is_not_to_blame_where_memory_is_short(tmp_path: Path, image: Callable[[], bytes]) -> None:
    """Whatever little memory is left, it is decoded, or the process says that it has too little: never rejected."""
    paths = [tmp_path / "normal", tmp_path / "large"]
    for path, data in zip(paths, (jpeg(1280, 1024), image()), strict=True):
        path.write_bytes(data)
    probe = [sys.executable, "-c", _SHORT_OF_MEMORY, *map(str, paths)]
    spawned = subprocess.run(probe, capture_output=True, check=True, timeout=60)
    taken, rejected, short, tried = map(int, spawned.stdout.split())
    assert rejected == 0
    assert taken + short == tried
    assert min(taken, short) > 0


_ENTRANCES = ("vision.decode", "apps.score", "apps.enroll", "apps.produce", "simulator.line", "rendering.surfaces")


@pytest.mark.parametrize("entrance", _ENTRANCES)
def test_opencv_itself_refuses_a_bomb_whatever_was_imported_first(entrance: str) -> None:
    # In a process of its own: OpenCV reads its limit once, when the first module imports it.
    probe = f"""
import importlib, sys
importlib.import_module("inspector.{entrance}")
import numpy as np
from cv2 import error, imdecode
try:
    imdecode(np.frombuffer(sys.stdin.buffer.read(), np.uint8), 1)
except error as refused:
    print("pixels" in str(refused).lower())
"""
    bomb = png_bomb(13_000)  # 169 Mpx, above the limit given to OpenCV before it was loaded
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV")}  # ours is set by now
    command = [sys.executable, "-c", probe]
    spawned = subprocess.run(command, input=bomb, capture_output=True, check=True, timeout=60, env=clean)
    assert spawned.stdout.split() == [b"True"]
