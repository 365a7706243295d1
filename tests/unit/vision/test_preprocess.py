import numpy as np
import torch

from inspector.vision.preprocess import preprocess


def test_pixels_are_scaled_normalised_and_channel_first() -> None:
    images = [np.full((4, 4, 3), value, np.uint8) for value in (0, 255)]
    images[1][0, 2] = (51, 102, 204)
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)
    batch = preprocess(images, mean, std)
    assert batch.shape == (2, 3, 4, 4)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous()
    torch.testing.assert_close(batch[0, :, 1, 1], torch.tensor([-2.0, -2.0, -3.0]))
    torch.testing.assert_close(batch[1, :, 0, 2], torch.tensor([(0.2 - 0.5) / 0.25, 0.0, (0.8 - 0.3) / 0.1]))
