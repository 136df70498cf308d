"""What runs the network of a model version, and how often; its window and precision are its own."""

from __future__ import annotations

from typing import Literal

from lesion_dynamics.settings.strict import Strict

EngineName = Literal["auto", "torch", "openvino"]
"""``auto``: torch on a GPU, OpenVINO on an x86 processor that has it, else torch."""

TestTimeAugmentation = Literal["none", "flips"]
"""``flips``: the mean over the scan and its left-right mirror, which training draws too."""


class EngineSettings(Strict):
    """What runs a single scan's networks; the keys of the same names of ``infer.py``."""

    engine: EngineName = "auto"
    tta: TestTimeAugmentation = "none"
