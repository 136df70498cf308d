"""``lesion-dynamics promote``: candidate to champion, through gates."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.errors import ConfigurationError, UserError
from lesion_dynamics.settings.promotion import PromoteSettings
from lesion_dynamics.settings.release import ReleaseSettings
from lesion_dynamics.settings.strict import validated

_HOW = (
    " (promote makes the study first: release=[...] holds keys for that, such as"
    ' "cohort.root=/data/mine"; release=null takes the study as it is.)'
)


def main(arguments: Sequence[str]) -> int:
    """Run with Hydra overrides; the exit status."""
    return run_configured(_promote, PromoteSettings, name="promote", arguments=arguments)


def _promote(settings: PromoteSettings) -> None:
    study = _release(settings)
    from lesion_dynamics.workflows.releases.promotion import promote  # only when settings are good

    if study is not None:
        from lesion_dynamics.workflows.releases.release import run

        try:
            run(study, all_scans=False)
        except UserError as error:
            raise type(error)(error.what, where=error.where, remedy=error.remedy + _HOW) from None
    promote(settings)


def _release(settings: PromoteSettings) -> ReleaseSettings | None:
    """What ``lesion-dynamics release`` is told: the same version, store and cache, and more.

    Composed from conf/release.yaml by the Hydra that runs this command.
    """
    if settings.release is None:
        return None
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        values = OmegaConf.to_container(compose("release", list(settings.release)), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigurationError(
            f"not what lesion-dynamics release takes ({str(error).splitlines()[0]})",
            where=f"release={list(settings.release)}",
            remedy="Correct it, or state release=null: the study is then taken as it is.",
        ) from None
    assert isinstance(values, dict)
    same = {
        "model_version": settings.model_version,
        "tracking": settings.tracking.model_dump(),
        "cache": settings.cache.model_dump(),
        "output": settings.results,
    }
    named = {str(key): value for key, value in values.items()}
    return validated(ReleaseSettings, {**named, **same}, lambda key: f"release key {key}")
