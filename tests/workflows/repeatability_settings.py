"""Settings of ``repeatability`` in a workplace of the tests."""

from __future__ import annotations

from tests.conftest import Workplace, composed

from lesion_dynamics.settings.repeatability import RepeatabilitySettings
from lesion_dynamics.settings.strict import validated


def settings_of(place: Workplace, *overrides: str) -> RepeatabilitySettings:
    own = [
        f"cohort.root={place.data / 'study'}",
        f"tracking.folder={place.folder / 'tracking'}",
        f"model_version={place.folder / 'models/lesion-segmenter'}",
        f"output={place.folder / 'derivatives'}",
        f"cache.folder={place.folder / 'cache'}",
        "executor.processes=1",
    ]
    return validated(RepeatabilitySettings, composed("repeatability", *own, *overrides))
