"""An array as the bytes of a .npy file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray


def npy_bytes(array: NDArray[Any]) -> bytes:
    """What ``numpy.save`` would write, in the array's own memory order.

    numpy writes to a file by itself, and says without an error number that the disk is full.
    """
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()
