"""What is told of a GPU; NVIDIA's library is stood in for, as no GPU is here: what torch makes of it is torch's own."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from inspector.adapters.telemetry.gpu import TorchGpu
from inspector.adapters.telemetry.line_metrics import LineMetrics
from inspector.apps.inspect_telemetry import WorkerTelemetry
from inspector.pipeline.loop_parts import LoopState
from inspector.settings import Settings

GIB = 2**30
BUSY, USED, TOTAL = "utilization_ratio", "memory_used_bytes", "memory_total_bytes"


class NotSupportedError(Exception):
    """As NVML says it of a slice of a GPU (MIG); a plain Exception, as all of its errors are."""


class Nvml(ModuleType):
    """NVIDIA's library, as far as torch asks it; ``percent`` None: it does not tell."""

    NVMLError_DriverNotLoaded = type("NVMLError_DriverNotLoaded", (Exception,), {})

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.percent: int | None = 73

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        assert handle == 1, "the GPU that was asked for"
        if self.percent is None:
            raise NotSupportedError("Not Supported")
        return SimpleNamespace(gpu=self.percent)


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    library = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(torch.cuda, "pynvml", library, raising=False)
    monkeypatch.setattr(torch.cuda, "_HAS_PYNVML", True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return library


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (50 * GIB, 80 * GIB))


def told(text: bytes) -> dict[str, tuple[str, float]]:
    return {
        sample.name.removeprefix("inspector_gpu_"): (sample.labels["device"], sample.value)
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name.startswith("inspector_gpu_")
    }


def test_how_busy_and_how_full_the_gpu_is(nvml: Nvml) -> None:
    metrics = LineMetrics(10, gpu=TorchGpu("cuda:1"))
    metrics.state(LoopState(True, {}))
    assert told(metrics.text()) == {
        BUSY: ("cuda:1", pytest.approx(0.73)),
        USED: ("cuda:1", 30 * GIB),
        TOTAL: ("cuda:1", 80 * GIB),
    }


def test_a_gpu_that_does_not_tell_how_busy_it_is_has_no_old_figure_and_is_no_noise(
    nvml: Nvml, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = LineMetrics(10, gpu=TorchGpu("cuda:1"))
    metrics.state(LoopState(True, {}))
    nvml.percent = None
    with caplog.at_level("INFO"):
        for _ in range(3):
            metrics.state(LoopState(True, {}))
    assert told(metrics.text()).keys() == {USED, TOTAL}
    assert [record.getMessage() for record in caplog.records] == [
        "how busy the GPU is cannot be told: NotSupportedError: Not Supported"
    ]
    nvml.percent = 5
    metrics.state(LoopState(True, {}))
    assert told(metrics.text())[BUSY][1] == pytest.approx(0.05)


def test_without_nvidias_library_memory_is_told_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "_HAS_PYNVML", False)
    with caplog.at_level("INFO"):
        state = TorchGpu("cuda:1")()
    assert (state.utilization, state.memory_used_bytes) == (None, 30 * GIB)
    assert "nvidia-ml-py" in caplog.text


@pytest.mark.parametrize(("device", "names"), [("cpu", set()), ("cuda:1", {BUSY, USED, TOTAL})])
def test_an_inspector_tells_of_the_gpu_that_it_uses_and_on_a_cpu_of_none(
    nvml: Nvml, caplog: pytest.LogCaptureFixture, device: str, names: set[str]
) -> None:
    worker = WorkerTelemetry(Settings.model_validate({"model": {"device": device}, "metrics": {"port": 0}}))
    with caplog.at_level("INFO"):
        worker.state(LoopState(True, {}))
    assert told(worker.answer("metrics")).keys() == names
    assert not caplog.records
