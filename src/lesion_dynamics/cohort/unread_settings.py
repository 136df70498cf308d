"""Settings of a cohort that its layout does not read are refused, not passed over."""

from __future__ import annotations

from collections.abc import Set

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.settings.cohort import CohortSettings

_OF_SOME_LAYOUTS = ("prepared", "reference_masks", "manifest", "prefer")


def refuse_unread(settings: CohortSettings, *, read: Set[str]) -> None:
    """Check that only settings which the layout reads were changed from their defaults.

    read : those of `_OF_SOME_LAYOUTS` that this layout reads.

    Raises
    ------
    ConfigurationError : names the first that has no effect.
    """
    for key in _OF_SOME_LAYOUTS:
        default = CohortSettings.model_fields[key].get_default(call_default_factory=True)
        if key not in read and getattr(settings, key) != default:
            raise ConfigurationError(
                f"cohort.{key} is set, but the layout {settings.layout} does not read it",
                where=f"cohort.{key}",
                remedy="Leave it out for this layout.",
            )
