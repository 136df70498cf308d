"""What runs the network of a model version, and how often; its window and precision are its own."""

from __future__ import annotations

from typing import Literal

EngineName = Literal["auto", "torch", "openvino"]
"""``auto``: torch on a GPU, OpenVINO on an x86 processor that has it, else torch."""

TestTimeAugmentation = Literal["none", "flips"]
"""``flips``: the mean over the scan and its left-right mirror, which training draws too."""
