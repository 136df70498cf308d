"""The jobs of a sweep before the first of them runs: a wrong one is refused at once.

Hydra composes all jobs before the first one, so it refuses what cannot be composed; whether their
values can be had and their settings go together is seen when a job's turn comes. The last one's
mistake would be told after all the others have been trained.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import env_override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.settings.strict import Origin, Strict, validated
from lesion_dynamics.settings.training import TrainerSettings
from lesion_dynamics.workflows.command import plain_values

AnySettings = TypeVar("AnySettings", bound=Strict)


def valid_jobs(
    config: DictConfig, schema: type[AnySettings]
) -> Iterator[tuple[AnySettings, Origin]]:
    """Compose the jobs of the sweep that ``config`` begins, one by one, and check their settings.

    Ends at a job that Hydra cannot compose: Hydra comes to it next, before any job runs, and says
    it in its own words.

    Raises
    ------
    ConfigurationError : of the first job whose settings are refused; names what it varies.
    """
    loader = GlobalHydra.instance().config_loader()
    try:
        jobs = list(_jobs(given_overrides(config), loader))
    except (HydraException, OmegaConfBaseException):
        return
    for number, (varied, overrides) in enumerate(jobs):
        origin = partial(_origin, varied)
        try:
            job = loader.load_sweep_config(config, overrides)
        except (HydraException, OmegaConfBaseException):
            return
        except ValueError as error:  # so says Hydra that it takes no null for a group of files
            raise ConfigurationError(
                str(error),
                where=origin(""),
                remedy="Name a file of the group; a job without any needs a command of its own.",
            ) from error
        with (
            _its_turn(job, number) as own,
            env_override(plain_values(job.hydra.job.env_set, schema, origin)),
        ):
            values = plain_values(own, schema, origin)
        yield validated(schema, values, origin), origin


def require_one_process(loop: TrainerSettings, *, where: str) -> None:
    """Of a training that others follow in the same command.

    Processes that train together are copies of the command: each would run all the trainings, and
    the first would start no others from the second training on.

    Raises
    ------
    ConfigurationError : it would train in several processes.
    """
    if loop.processes > 1:
        raise ConfigurationError(
            f"trainer.devices={loop.devices} and trainer.num_nodes={loop.num_nodes} are "
            f"{loop.processes} processes a training: sweeps and searches train in one",
            where=where,
            remedy="Give each of these trainings a command of its own, python train.py without -m.",
        )


def given_overrides(config: DictConfig) -> list[str]:
    """Those of the command line as they were given: what they refer to is a job's own."""
    given = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(given, list)
    return [str(one) for one in given]


@contextmanager
def _its_turn(job: DictConfig, number: int) -> Iterator[DictConfig]:
    """The configuration of a job, while Hydra's own values are those of its turn.

    Others may refer to them: ``output=models/${hydra:job.num}``.
    """
    hydra = HydraConfig.instance()
    before = hydra.cfg
    with open_dict(job):
        job.hydra.job.id = str(number)
        job.hydra.job.num = number
        job.hydra.runtime.output_dir = "${hydra:sweep.dir}/${hydra:sweep.subdir}"
    own = copy.deepcopy(job)
    with open_dict(own):
        del own.hydra
    hydra.set_config(job)
    try:
        yield own
    finally:
        hydra.cfg = before


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
    job = f"the job {' '.join(varied)}" if varied else "the only job"
    return job + (f", key {key}" if key else "")
