"""Examples painted on a camera's own good frames: the same for a seed, half of them good, exactly as labelled."""

import numpy as np
import pytest

from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.training.examples import UnreadableExampleError
from inspector.training.synthetic_examples import SyntheticExamples
from inspector.vision.decode import DecodeLimits, decode
from inspector.vision.opencv import cv2

TYPES = ("crack", "bent lead", "stain")
SIDE = 64


def photograph(seed, shape=(96, 120)):
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 20, shape), (0, 0), 2)
    return np.clip(120 + noise[..., None] * (1, 0.9, 0.8), 0, 255).astype(np.uint8)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        cv2.imwrite(str(path), photograph(i))
    return paths


def decoded(path):
    return decode(path.read_bytes(), "image/png", DecodeLimits(), SIDE).pixels


def same(one, other):
    return np.array_equal(one.pixels, other.pixels) and np.array_equal(one.type_mask, other.type_mask)


def test_good_examples_are_frames_as_the_serving_path_decodes_them(files):
    source = SyntheticExamples(files, TYPES, 20, 0, SIDE)
    frames = [decoded(path) for path in files]

    good = [example for example in source if not example.anomalous]

    assert len(source) == 20
    assert len(good) == 10
    for example in good:
        assert not example.type_mask.any()
        assert any(np.array_equal(example.pixels, frame) for frame in frames)


def test_defective_examples_differ_from_a_frame_exactly_where_the_mask_says_so(files):
    frames = [decoded(path) for path in files]

    for example in SyntheticExamples(files, TYPES, 20, 0, SIDE, "plate"):
        assert example.vocabulary == Vocabulary(TYPES, "plate")
        assert example.segmented
        if example.anomalous:
            assert set(np.unique(example.type_mask)) <= {0, 1, 3, 255}  # nothing is painted for "bent lead"
            assert example.type_mask.any()
            elsewhere = example.type_mask == 0
            assert any(np.array_equal(example.pixels[elsewhere], frame[elsewhere]) for frame in frames)
            assert not any(np.array_equal(example.pixels, frame) for frame in frames)


def test_an_example_depends_on_seed_and_position_alone(files):
    source, again = (SyntheticExamples(files, TYPES, 12, 7, SIDE) for _ in range(2))
    other = SyntheticExamples(files, TYPES, 12, 8, SIDE)

    assert all(same(source[i], again[i]) for i in reversed(range(12)))
    assert source.fingerprint == again.fingerprint
    assert not all(same(source[i], other[i]) for i in range(12))
    assert source.fingerprint != other.fingerprint


def test_every_normal_is_used_before_one_is_used_again(files):
    source = SyntheticExamples(files, TYPES, 10, 0, SIDE, defective=0)
    frames = [decoded(path).tobytes() for path in files]

    used = [frames.index(source[i].pixels.tobytes()) for i in range(10)]

    assert sorted(used[:5]) == sorted(used[5:]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (0.25, 5), (0.9, 18), (1, 20)])
def test_the_share_of_defective_examples_is_as_asked(files, share, expected):
    source = SyntheticExamples(files, TYPES, 20, 0, SIDE, defective=share)

    assert sum(example.anomalous for example in source) == expected


def test_what_is_no_image_is_named_and_left_out(files, tmp_path):
    broken, missing = tmp_path / "broken.png", tmp_path / "missing.png"
    broken.write_bytes(files[0].read_bytes()[:200])

    source = SyntheticExamples([files[0], broken, missing], TYPES, 4, 0, SIDE)

    assert [path for path, _ in source.left_out] == [broken, missing]
    assert all(reason for _, reason in source.left_out)
    assert np.array_equal(source[0].pixels, decoded(files[0]))
    with pytest.raises(BadInputError, match=r"broken\.png"):
        SyntheticExamples([broken], TYPES, 4, 0, SIDE)


def test_words_that_nothing_is_painted_for_are_reported(files):
    assert SyntheticExamples(files, TYPES, 4, 0, SIDE).undrawn_types == ("bent lead",)


def test_a_file_that_changes_or_goes_meanwhile_is_named(files):
    source = SyntheticExamples(files[:1], TYPES, 4, 0, SIDE)

    cv2.imwrite(str(files[0]), photograph(9))
    with pytest.raises(UnreadableExampleError, match=r"0\.png.*not the image"):
        source[0]
    files[0].unlink()
    with pytest.raises(UnreadableExampleError, match=r"0\.png"):
        source[0]


def test_frames_of_a_camera_serve_as_well_as_files(files):
    frames = [decoded(path) for path in files]

    from_frames = SyntheticExamples.from_frames(frames, TYPES, 8, 3)

    from_files = SyntheticExamples(files, TYPES, 8, 3, SIDE)
    assert all(same(one, other) for one, other in zip(from_frames, from_files, strict=True))
    assert from_frames.fingerprint == from_files.fingerprint
    with pytest.raises(BadInputError, match=r"\[64, 64, 3\]"):
        SyntheticExamples.from_frames([frames[0], photograph(0)], TYPES, 8, 3)
    with pytest.raises(BadInputError, match="at least one"):
        SyntheticExamples.from_frames([], TYPES, 8, 3)


@pytest.mark.parametrize(
    "bad", [{"types": ()}, {"types": ("a", "a")}, {"count": 0}, {"defective": 1.1}, {"image_size_px": 8}, {"seed": -1}]
)
def test_arguments_out_of_range_are_refused(files, bad):
    with pytest.raises(BadInputError):
        SyntheticExamples(files, **{"types": TYPES, "count": 4, "seed": 0, "image_size_px": SIDE, **bad})
