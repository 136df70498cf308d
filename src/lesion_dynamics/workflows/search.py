"""A search over settings of a training: Optuna proposes, ``train.py``'s workflow disposes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra import compose
from omegaconf import OmegaConf

from lesion_dynamics.atomic_files import hash_of_content
from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.search import Dimension, SearchSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainerSettings, TrainSettings
from lesion_dynamics.workflows.sweep_jobs import require_one_process
from lesion_dynamics.workflows.training_version import run_reference

if TYPE_CHECKING:
    import optuna

    from lesion_dynamics.records.spooled_run import SpooledRun

_LOG = logging.getLogger(__name__)
_SETS_PROCESSES = ("trainer", "experiment")
"""First parts of keys that choose how many processes train together."""
Train = Callable[[Sequence[str]], ModelVersion]
"""Trains with these overrides of conf/train.yaml."""


def run(settings: SearchSettings, train: Train) -> Mapping[str, Any]:
    """Train until the search has its trials; return the best trial's overrides and value.

    Every training is an MLflow run under the search's. A search that was interrupted goes on: its
    finished trials lie in ``runs/search-<name>.db``.

    Raises
    ------
    ConfigurationError : Optuna is not installed.
    UserError : as ``train.py`` raises them, for the first trial concerned.
    """
    engine = _engine()
    from lesion_dynamics.records.sweep_run import record_best, start_or_go_on_with_sweep

    # What is searched for, and of what: a search of something else begins afresh.
    sought = settings.model_dump(mode="json", include={"space", "objective", "overrides"})
    key = hash_of_content([settings.name, sought])
    sweep = start_or_go_on_with_sweep(settings.tracking, key=key, name=f"search {settings.name}")
    try:
        found = _search(settings, train, engine, sweep, key=key)
        record_best(sweep, found, objective=settings.objective)
        sweep.finish()
    except KeyboardInterrupt:
        sweep.interrupt()
        raise
    except BaseException:
        sweep.fail()
        raise
    finally:
        sweep.close()
    _LOG.info("best of %d: %s (%.4f)", found["trials"], found["overrides"], found["value"] or 0.0)
    return found


def _search(
    settings: SearchSettings, train: Train, engine: Any, sweep: SpooledRun, *, key: str
) -> dict[str, Any]:
    """Train until there are enough trials; the best one."""
    from lesion_dynamics.records.sweep_run import list_training

    settings.runs.mkdir(parents=True, exist_ok=True)
    database = settings.runs.resolve() / f"search-{settings.name}-{key[:8]}.db"

    def objective(trial: optuna.Trial) -> float:
        own = [f"{key}={_value(trial, key, one)}" for key, one in sorted(settings.space.items())]
        version = train([*settings.overrides, *own, f"parent_run={sweep.reference}"])
        run = run_reference(version.weights.parent)
        if run is not None:
            list_training(sweep, run, own)
        trial.set_user_attr("model_version", version.label)
        return objective_of(version, settings.objective)

    engine.logging.set_verbosity(engine.logging.WARNING)
    study = engine.create_study(
        study_name=settings.name,
        storage=f"sqlite:///{database}",
        direction="maximize",
        load_if_exists=True,
    )
    done = len([one for one in study.trials if one.state == engine.trial.TrialState.COMPLETE])
    # Seeded with what is done, so that a search that goes on does not draw its first trials again.
    study.sampler = engine.samplers.TPESampler(seed=settings.seed + done)
    study.optimize(objective, n_trials=max(0, settings.trials - done))
    best = study.best_trial
    return {
        "overrides": [f"{name}={value}" for name, value in sorted(best.params.items())],
        "value": best.value,
        "model_version": best.user_attrs["model_version"],
        "trials": settings.trials,
    }


def require_one_process_each(settings: SearchSettings) -> None:
    """Look at all trainings that the search can propose; inside a ``hydra.main`` function.

    Raises
    ------
    ConfigurationError : one of them would train in several processes.
    """
    proposed = [
        f"{key}={value}"
        for key, one in sorted(settings.space.items())
        if key.lstrip("+").partition(".")[0] in _SETS_PROCESSES
        for value in (one.choices if one.choices is not None else (one.high,))
    ]
    for own in [[], *([one] for one in proposed)]:
        where = f"space {own[0]}" if own else "overrides"
        composed = compose("train", [*settings.overrides, *own])
        trainer = OmegaConf.to_container(composed.trainer, resolve=True)
        assert isinstance(trainer, dict)
        loop = validated(TrainerSettings, {str(key): one for key, one in trainer.items()})
        require_one_process(loop, where=where)


def train_with(overrides: Sequence[str]) -> ModelVersion:
    """Compose conf/train.yaml with these overrides and train; inside a ``hydra.main`` function."""
    values = OmegaConf.to_container(compose("train", list(overrides)), resolve=True)
    assert isinstance(values, dict)
    from lesion_dynamics.workflows.training import run as train

    return train(validated(TrainSettings, {str(key): value for key, value in values.items()}))


def objective_of(version: ModelVersion, name: str) -> float:
    """The value that is searched for; undefined counts as 0."""
    summary = version.manifest.validation["all"]
    parts = ("mean_dice", "mean_lesion_f1") if name == "score" else (name,)
    return sum(float(summary.get(part) or 0.0) for part in parts) / len(parts)


def _value(trial: optuna.Trial, key: str, dimension: Dimension) -> Any:
    if dimension.choices is not None:
        return trial.suggest_categorical(key, list(dimension.choices))
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.whole:
        low, high = int(dimension.low), int(dimension.high)
        return trial.suggest_int(key, low, high, log=dimension.log)
    return trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log)


def _engine() -> Any:
    try:
        import optuna
    except ImportError:
        raise ConfigurationError(
            "Optuna is not installed",
            where="search.py",
            remedy="Install it: pip install 'lesion-dynamics[sweep]'.",
        ) from None
    return optuna
