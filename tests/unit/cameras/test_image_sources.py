"""Folders, videos and live cameras as sources of images."""

import os
import struct
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest

from inspector.adapters.cameras import live
from inspector.adapters.cameras.folder import FolderSource
from inspector.adapters.cameras.live import LiveSource, redacted
from inspector.adapters.cameras.video import VideoSource
from inspector.domain.errors import BadInputError
from inspector.vision import image_file
from inspector.vision.image_file import load_image

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def noon():
    return NOON


def picture(value=90, extension=".jpg"):
    done, data = cv2.imencode(extension, np.full((24, 32, 3), value, np.uint8))
    assert done
    return data.tobytes()


def nobody_reports(text):
    raise AssertionError(f"unexpected report: {text}")


# Folders


def test_a_folder_is_read_recursively_in_order_and_bytes_pass_unchanged(tmp_path):
    files = {"b/2.JPG": picture(1), "a/1.png": picture(2, ".png"), "a/sub/0.jpeg": picture(3), "z.jpg": picture(4)}
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.jpg").write_bytes(picture())

    images = list(FolderSource(tmp_path, noon, nobody_reports))

    assert [i.name for i in images] == ["a/1.png", "a/sub/0.jpeg", "b/2.JPG", "z.jpg"]
    assert all(i.image == files[i.name] for i in images)
    assert [i.content_type for i in images] == ["image/png", "image/jpeg", "image/jpeg", "image/jpeg"]
    assert {i.captured_at for i in images} == {NOON}


def test_content_goes_before_extension_and_damaged_images_reach_the_inspector(tmp_path):
    (tmp_path / "1.png").write_bytes(picture())
    (tmp_path / "2_no_extension").write_bytes(picture(extension=".png"))
    (tmp_path / "3.jpg").write_bytes(b"")
    (tmp_path / "4.jpg").write_bytes(b"not an image")

    images = list(FolderSource(tmp_path, noon, nobody_reports))

    assert [i.content_type for i in images] == ["image/jpeg", "image/png", "image/jpeg", "image/jpeg"]
    assert [i.image for i in images][2:] == [b"", b"not an image"]


@pytest.mark.parametrize("extension", [".bmp", ".tiff", ".webp"])
def test_other_formats_are_converted_without_loss(tmp_path, extension):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    quality = [cv2.IMWRITE_WEBP_QUALITY, 101] if extension == ".webp" else []
    assert cv2.imwrite(str(tmp_path / f"part{extension}"), pixels, quality)

    (image,) = FolderSource(tmp_path, noon, nobody_reports)

    assert image.content_type == "image/png"
    assert np.array_equal(cv2.imdecode(np.frombuffer(image.image, np.uint8), cv2.IMREAD_COLOR), pixels)


def test_a_file_that_cannot_be_converted_is_reported_and_the_rest_goes_on(tmp_path):
    (tmp_path / "1.bmp").write_bytes(b"BM broken")
    (tmp_path / "2.jpg").write_bytes(picture())
    (tmp_path / "3.jpg").write_bytes(picture())
    reports = []
    source = FolderSource(tmp_path, noon, reports.append)
    (tmp_path / "2.jpg").unlink()

    assert [i.name for i in source] == ["3.jpg"]
    assert [r.split(":")[0] for r in reports] == ["1.bmp", "2.jpg"]


def bmp_header(width, height):
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (bmp_header(100_000, 100_000), "too many pixels"),
        (bmp_header(5000, 4000) + bytes(100), "5000 x 4000 pixels are too many"),
        (cv2.imencode(".tiff", np.ones((4, 4), np.float32))[1].tobytes(), "floating-point"),
        (cv2.imencode(".tiff", np.ones((4, 4, 3), np.float32))[1].tobytes(), "image/tiff|floating"),
        (cv2.imencode(".tiff", np.ones((4, 4), np.float64))[1].tobytes(), "image/tiff|floating"),
        (b"II*\0" + bytes(20), "no readable image/tiff"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "no readable image/webp"),
    ],
    ids=["bmp bomb", "large bmp", "float", "float colour", "double", "tiff stub", "webp stub"],
)
def test_what_cannot_become_a_frame_is_refused_before_it_is_decoded(tmp_path, data, says):
    (tmp_path / "part").write_bytes(data)

    with pytest.raises(ValueError, match=says):
        load_image(tmp_path / "part")


def test_an_error_inside_opencv_is_that_of_an_unreadable_picture(tmp_path, monkeypatch):
    def fail(*_):
        raise cv2.error("made to fail")

    (tmp_path / "1.bmp").write_bytes(cv2.imencode(".bmp", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    monkeypatch.setattr(image_file.cv2, "imdecode", fail)

    with pytest.raises(ValueError, match="no readable image/bmp"):
        load_image(tmp_path / "1.bmp")


def test_hostile_file_names_are_read_and_named_harmlessly(tmp_path):
    names = [b"a\nb.jpg", b"--rate.jpg", b"\x1b[31mred.jpg", b"bad\xff.jpg", b"100%d.jpg", "Prüfling 1.jpg".encode()]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(picture())

    images = list(FolderSource(tmp_path, noon, nobody_reports))

    assert len(images) == len(names)
    assert all(i.name.isprintable() for i in images)
    assert {"a\\nb.jpg", "bad\\xff.jpg", "Prüfling 1.jpg"} <= {i.name for i in images}


def test_a_pipe_and_a_link_in_a_circle_do_not_hang_the_listing(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "circle").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "part.jpg").write_bytes(picture())

    assert [i.name for i in FolderSource(tmp_path, noon, nobody_reports)] == ["part.jpg"]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")

    with pytest.raises(BadInputError, match="none in"):
        FolderSource(tmp_path, noon, nobody_reports)


def test_a_closed_folder_ends(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(picture())
    source = FolderSource(tmp_path, noon, nobody_reports)
    images = iter(source)
    next(images)
    source.close()

    assert list(images) == []


# Videos


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "line 100%d.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
    assert writer.isOpened()
    for level in (20, 120, 220):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def test_a_video_gives_its_frames_with_times_from_its_positions(video):
    source = VideoSource(video, noon)
    images = list(source)

    levels = [cv2.imdecode(np.frombuffer(i.image, np.uint8), cv2.IMREAD_COLOR).mean() for i in images]
    assert levels == pytest.approx([20, 120, 220], abs=4)
    assert [i.captured_at - NOON for i in images] == [timedelta(milliseconds=ms) for ms in (0, 100, 200)]
    assert {i.content_type for i in images} == {"image/jpeg"}
    assert len(list(source)) == 3  # a second look starts anew


def test_a_file_that_is_no_video_is_refused(tmp_path):
    (tmp_path / "notes.mp4").write_text("no video")

    with pytest.raises(BadInputError, match="no readable frame"):
        VideoSource(tmp_path / "notes.mp4", noon)


# Live cameras


class FakeCapture:
    def __init__(self, frames, answers=True):
        self.frames, self.answers, self.released = frames, answers, False

    def isOpened(self):
        return self.answers and not self.released

    def read(self):
        if not self.frames:
            return False, None
        self.frames -= 1
        return True, np.full((24, 32, 3), 80, np.uint8)

    def get(self, propId):
        return 0.0

    def release(self):
        self.released = True


class FakeWorld:
    """A camera that follows a script of sessions, and a clock that only waiting moves."""

    def __init__(self, sessions):
        self.sessions = sessions
        self.opened, self.waits, self.reports = [], [], []
        self.now = NOON
        self.source = LiveSource("usb:0", self.open, lambda: self.now, self.reports.append, self.wait)

    def open(self):
        self.opened.append(self.sessions.pop(0))
        return self.opened[-1]

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)
        if not self.sessions:
            self.source.close()


def test_a_camera_that_goes_away_is_asked_again_with_growing_patience_and_comes_back():
    away = [FakeCapture(0, answers=False) for _ in range(7)]
    world = FakeWorld([FakeCapture(2), *away, FakeCapture(1), FakeCapture(0)])

    images = list(world.source)

    assert world.waits == [1, 2, 4, 8, 16, 30, 30, 30, 1, 2]
    assert [i.name for i in images] == ["usb:0#0", "usb:0#1", "usb:0#2"]
    assert images[2].captured_at - images[1].captured_at == timedelta(seconds=121)
    assert all(c.released for c in world.opened)
    assert [r for r in world.reports if "back" in r] == ["camera usb:0 is back"]
    assert sum("no frames" in r for r in world.reports) == len(world.waits)


def test_a_camera_that_opens_but_gives_nothing_is_never_asked_in_a_tight_loop():
    world = FakeWorld([FakeCapture(0) for _ in range(8)])

    assert list(world.source) == []
    assert world.waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_frame_that_cannot_be_encoded_is_a_loss_of_the_camera_not_the_end():
    class Broken(FakeCapture):
        def read(self):
            done, pixels = super().read()
            return done, pixels[:0] if done else None  # 0 rows: cv2.error

    world = FakeWorld([Broken(1), FakeCapture(1)])

    assert [i.name for i in world.source] == ["usb:0#0"]
    assert any("cannot encode" in r for r in world.reports)
    assert all(c.released for c in world.opened)


@pytest.mark.timeout(20)
def test_closing_ends_a_wait_for_the_camera_at_once(monkeypatch):
    monkeypatch.setattr(live, "_FIRST_WAIT_S", 3600.0)
    source = LiveSource("usb:0", lambda: FakeCapture(0), noon, lambda _: source.close())

    assert list(source) == []  # with the real wait, which close() cuts short


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:secret@10.0.0.5:554/live", "rtsp://***@10.0.0.5:554/live"),
        ("rtsp://user:sec@re/t@10.0.0.5/live", "rtsp://***@10.0.0.5/live"),
        ("rtsp://10.0.0.5/live?password=secret", "rtsp://10.0.0.5/live"),
        ("rtsp://10.0.0.5/live", "rtsp://10.0.0.5/live"),
        ("rtsp://user:secret?x@10.0.0.5/live", "rtsp://***@10.0.0.5/live"),
    ],
)
def test_passwords_are_taken_out_of_urls(url, shown):
    assert redacted(url) == shown
