"""The jobs of a sweep before the first of them runs: a wrong one is refused at once.

Hydra composes and checks each job when its turn comes, so the last one's mistake would be told
after all the others have been trained.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from lesion_dynamics.settings.strict import Strict, validated


def require_valid_jobs(config: DictConfig, schema: type[Strict]) -> None:
    """Compose every job of the sweep that ``config`` begins, and check its settings.

    Raises
    ------
    ConfigurationError : of the first job whose settings are refused; names what it varies.
    """
    loader = GlobalHydra.instance().config_loader()
    for varied, overrides in _jobs([str(one) for one in config.hydra.overrides.task], loader):
        job = loader.load_sweep_config(config, overrides)
        with open_dict(job):
            del job.hydra
        values = OmegaConf.to_container(job, resolve=True, throw_on_missing=True)
        assert isinstance(values, Mapping)
        validated(schema, {str(key): one for key, one in values.items()}, partial(_origin, varied))


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
