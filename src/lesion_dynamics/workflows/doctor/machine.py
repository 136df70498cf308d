"""Processor, memory, GPU and shared memory of this machine."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from lesion_dynamics.settings.doctor import DoctorSettings
from lesion_dynamics.workflows.doctor.remark import Remark

GB = 1e9
_CGROUP = Path("/sys/fs/cgroup")
_SHARED = Path("/dev/shm")  # noqa: S108  looked at, not written to


def machine_remarks(settings: DoctorSettings) -> list[Remark]:
    """All of them."""
    return [_cores(), _memory(settings), *_shared_memory(settings), _gpu()]


def _cores() -> Remark:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    flags = _processor_flags()
    fast = "bf16 on AMX" if "amx_bf16" in flags else "float32 (no AMX)"
    quota = _quota()
    if quota is not None and usable is not None and quota < usable:
        return Remark(
            "cores",
            "note",
            f"{usable} cores are seen, but a quota allows {quota:g}; {fast}",
            f"Set executor.processes and trainer.threads to {max(1, int(quota))}.",
        )
    return Remark("cores", "good", f"{usable} usable; {fast}")


def _processor_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    found = next((line for line in lines if line.startswith("flags")), "")
    return set(found.partition(":")[2].split())


def _quota() -> float | None:
    """Processors that the container's quota allows, or None."""
    try:
        allowed, period = (_CGROUP / "cpu.max").read_text(encoding="utf-8").split()
        return None if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError):
        return None


def _memory(settings: DoctorSettings) -> Remark:
    total = psutil.virtual_memory().total
    with suppress(OSError, ValueError):  # no container, or no limit
        total = min(total, int((_CGROUP / "memory.max").read_text(encoding="utf-8")))
    free = psutil.virtual_memory().available
    what = f"{total / GB:.1f} GB, {min(free, total) / GB:.1f} GB free"
    if total < settings.memory_gb * GB:
        remedy = "Set executor.processes=1 and a smaller patch.batch, or take a larger machine."
        return Remark("memory", "problem", f"{what}; {settings.memory_gb:g} GB wanted", remedy)
    return Remark("memory", "good", what)


def _shared_memory(settings: DoctorSettings) -> list[Remark]:
    if not _SHARED.is_dir():
        return []
    total = shutil.disk_usage(_SHARED).total
    if total < settings.shared_memory_gb * GB:
        return [
            Remark(
                "shared memory",
                "note",
                f"{_SHARED} has {total / GB:.2f} GB",
                "Give the container more (--shm-size), or set trainer.workers=0.",
            )
        ]
    return [Remark("shared memory", "good", f"{_SHARED} has {total / GB:.1f} GB")]


def _gpu() -> Remark:
    """By the driver's own tool: torch is not loaded for a question."""
    names = _gpus_of_the_driver()
    build = importlib.metadata.version("torch")
    if not names:
        return Remark("GPU", "note", "none is seen; the processor is used")
    if build.endswith("+cpu"):
        return Remark(
            "GPU",
            "problem",
            f"{', '.join(names)}, but torch {build} is built without CUDA",
            "Install torch from the CUDA index of pytorch.org.",
        )
    return Remark("GPU", "good", f"{', '.join(names)}; torch {build}")


def _gpus_of_the_driver() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        asked = [tool, "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
