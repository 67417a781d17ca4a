"""Which GPUs a process may use, from what the driver lists."""

import pytest
import torch

from pipelines.runtime.device import device_lost, out_of_memory
from pipelines.runtime.gpus import allowed, gpus_here, listed_gpus

TWO = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1111aaaa-0000-0000-0000-000000000000)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-2222bbbb-0000-0000-0000-000000000000)
"""

DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1111aaaa-0000-0000-0000-000000000000)
  MIG 3g.20gb     Device  0: (UUID: MIG-3333cccc-0000-0000-0000-000000000000)
  MIG 3g.20gb     Device  1: (UUID: MIG-4444dddd-0000-0000-0000-000000000000)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-2222bbbb-0000-0000-0000-000000000000)
"""

ZERO = "-0000-0000-0000-000000000000"
A, B = f"GPU-1111aaaa{ZERO}", f"GPU-2222bbbb{ZERO}"


def test_the_driver_lists_gpus_by_identifier():
    assert listed_gpus(TWO) == [A, B]
    assert listed_gpus("No devices found.\n") == []


def test_of_a_divided_gpu_its_parts_are_used():
    assert listed_gpus(DIVIDED) == [f"MIG-3333cccc{ZERO}", f"MIG-4444dddd{ZERO}", B]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [A, B]),
        ("1", [B]),
        ("1,0", [B, A]),
        ("GPU-2222", [B]),
        ("GPU", []),  # Of both: CUDA sees none.
        ("0,-1,1", [A]),
        ("", []),
        ("7", []),
    ],
)
def test_the_list_that_cuda_reads_says_which_of_them(visible, expected):
    assert allowed([A, B], visible) == expected


def test_without_the_drivers_program_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus_here() == []


def test_the_drivers_program_is_asked(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n/bin/cat <<'E'\n{TWO}E\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus_here() == [B]


def test_a_failed_gpu_is_no_lack_of_memory():
    failed = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    assert device_lost(failed)
    assert not out_of_memory(failed)
    assert not device_lost(torch.OutOfMemoryError("CUDA out of memory"))
    assert not device_lost(RuntimeError("shapes differ"))
