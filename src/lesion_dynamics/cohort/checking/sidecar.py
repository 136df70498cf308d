"""What the JSON beside an image says of participant and scanner (BIDS; dcm2niix writes it)."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesion_dynamics.cohort.tables import SEX

_DICOM_AGE = re.compile(r"(\d{1,3})([DWMY]?)", re.ASCII)
_PER_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0, "": 1.0}
_LARGEST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Facts of one image's sidecar; None is not said.

    scanner : manufacturer, model, field strength, and four digits that stand for the device's
        serial number, which itself is not kept.
    """

    sex: str | None = None
    age_years: float | None = None
    scanner: str | None = None


def read_sidecar(image: Path) -> Sidecar:
    """Facts of the ``.json`` beside ``image``. None there, or none that is JSON: nothing said."""
    path = image.with_name(image.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return Sidecar()
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return Sidecar()
    if not isinstance(content, Mapping):
        return Sidecar()
    return Sidecar(
        sex=SEX.get(str(content.get("PatientSex", "")).strip().lower()),
        age_years=_age(content.get("PatientAge")),
        scanner=_scanner(content),
    )


def _age(said: Any) -> float | None:
    """``045Y`` or ``018M`` as DICOM writes it (PS3.5, AS), or a number of years."""
    if isinstance(said, (int, float)) and not isinstance(said, bool):
        return float(said) if math.isfinite(said) else None
    found = _DICOM_AGE.fullmatch(str(said).strip().upper())
    return int(found[1]) / _PER_YEAR[found[2]] if found else None


def _scanner(content: Mapping[str, Any]) -> str | None:
    words = [content.get("Manufacturer"), content.get("ManufacturersModelName")]
    named = [str(word).strip() for word in words if isinstance(word, str) and word.strip()]
    field = content.get("MagneticFieldStrength")
    if isinstance(field, (int, float)):
        named.append(f"{field:.2g} T")
    serial = content.get("DeviceSerialNumber")
    if serial not in (None, ""):
        named.append(f"#{hashlib.sha256(str(serial).encode()).hexdigest()[:4]}")
    return " ".join(named) or None
