"""Settings as a lineage keeps them: what shaped the outputs, without a path of this machine."""

from __future__ import annotations

from typing import Any

from lesion_dynamics.records.lineage import below_the_code
from lesion_dynamics.settings.inference import InferSettings

_OF_THE_MACHINE = {"model_version", "tracking", "cache", "executor", "output"}


def of_inference(settings: InferSettings) -> dict[str, Any]:
    """``configuration``: all that ``infer.py`` was told, apart from places and the model version.

    The cohort's folders stand as below the code's repository, None where they lie elsewhere.
    """
    said: dict[str, Any] = settings.model_dump(mode="json", exclude=_OF_THE_MACHINE)
    cohort = settings.cohort
    for name in ("root", "reference_masks", "truth"):
        said["cohort"][name] = below_the_code(getattr(cohort, name))
    coefficients = cohort.distortion.gradient_coefficients
    said["cohort"]["distortion"]["gradient_coefficients"] = {
        scanner: below_the_code(path) for scanner, path in coefficients.items()
    }
    return {"cohort": cohort.name, "mni": settings.mni, "configuration": said}
