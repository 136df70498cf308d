"""The jobs of a sweep before the first of them runs: a wrong one is refused at once.

Hydra composes all jobs before the first one, so it refuses what cannot be composed; whether their
settings go together is seen when a job's turn comes. The last one's mistake would be told after all
the others have been trained.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lesion_dynamics.settings.strict import Strict, validated


def require_valid_jobs(config: DictConfig, schema: type[Strict]) -> None:
    """Compose every job of the sweep that ``config`` begins, and check its settings.

    Raises
    ------
    ConfigurationError : of the first job whose settings are refused; names what it varies.
    """
    try:
        jobs = list(_composed(config))
    except (HydraException, OmegaConfBaseException):
        return  # Hydra comes to it next, and says it in its own words
    for varied, values in jobs:
        validated(schema, values, partial(_origin, varied))


def _composed(config: DictConfig) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """What each job varies, and the values of all its keys."""
    loader = GlobalHydra.instance().config_loader()
    for varied, overrides in _jobs([str(one) for one in config.hydra.overrides.task], loader):
        job = loader.load_sweep_config(config, overrides)
        with open_dict(job):
            del job.hydra
        values = OmegaConf.to_container(job, resolve=True, throw_on_missing=True)
        assert isinstance(values, Mapping)
        yield varied, {str(key): one for key, one in values.items()}


def _jobs(task: list[str], loader: ConfigLoader) -> Iterator[tuple[list[str], list[str]]]:
    """What each job varies, and all of its overrides: as Hydra's own sweeper multiplies them."""
    parsed = OverridesParser.create(loader).parse_overrides(task)
    choices = {}
    for one in parsed:
        key = one.get_key_element()
        values = (
            one.sweep_string_iterator()
            if one.is_discrete_sweep()
            else [one.get_value_element_as_str()]
        )
        choices[key] = [f"{key}={value}" for value in values]
    several = {key for key, values in choices.items() if len(values) > 1}
    for job in itertools.product(*choices.values()):
        yield [one for key, one in zip(choices, job, strict=True) if key in several], list(job)


def _origin(varied: list[str], key: str) -> str:
    return f"the job {' '.join(varied)}" + (f", key {key}" if key else "")
