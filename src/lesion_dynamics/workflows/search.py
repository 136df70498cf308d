"""A search over settings of a training: Optuna proposes, ``train.py``'s workflow disposes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra import compose
from omegaconf import OmegaConf

from lesion_dynamics.atomic_files import hash_of_content
from lesion_dynamics.errors import ConfigurationError, TrainingError, UserError
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
_CHOOSES_DATA = (
    "cohort",
    "experiment",
    "initial_model_version",
    "segmenter.optional_sequences",
    "segmenter.sequences",
    "split_from",
    "synthesis",
)
"""Keys, and sections of keys, that choose which files and which code a training depends on."""
_REFUSED = "refused"
"""What a pruned trial says of itself in the study's database."""
Train = Callable[[Sequence[str]], ModelVersion]
"""Trains with these overrides of conf/train.yaml."""
Plan = Callable[[Sequence[str]], str]
"""The key of the training with these overrides (`TrainingPlan.key`), nothing trained."""


def run(settings: SearchSettings, train: Train, plan: Plan | None = None) -> Mapping[str, Any]:
    """Train until the search has its trials; return the best trial's overrides and value.

    Every training is an MLflow run under the search's. A search that was interrupted goes on: its
    finished trials lie in ``runs/search-<name>-<key>.db``. The key is of what is searched for and
    of the data, the settings and the code of the training without the space's values: where one
    of these has changed, the search begins afresh.

    A combination of values that ``train`` refuses as a configuration is left out, with a line
    that says why; the search ends with as many trials fewer, and the same command makes up for
    them. ``trials`` of what is returned counts the trainings that were compared.

    plan : None plans as ``train.py`` does; inside a ``hydra.main`` function.

    Raises
    ------
    ConfigurationError : Optuna is not installed; the training is refused without the space's
        values, or every combination is.
    UserError : as ``train.py`` raises them, for the first trial concerned.
    """
    engine = _engine()
    from lesion_dynamics.records.sweep_run import record_best, start_or_go_on_with_sweep

    _LOG.info(
        "search %s: %d trials over %s",
        settings.name,
        settings.trials,
        ", ".join(sorted(settings.space)),
    )
    # What is searched for, and of what: a search of something else begins afresh.
    sought = settings.model_dump(mode="json", include={"space", "objective", "overrides"})
    trainings = _training_keys(settings, plan or key_of_training)
    key = hash_of_content([settings.name, sought, trainings])
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
    _LOG.info(
        "best of %d%s: %s (%.4f)",
        found["trials"],
        f", {found['refused']} refused" if found["refused"] else "",
        found["overrides"],
        found["value"] or 0.0,
    )
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
        try:
            version = train([*settings.overrides, *own, f"parent_run={sweep.reference}"])
        except (ConfigurationError, TrainingError) as error:
            # Of this combination: without the space's values the training was planned. One that
            # diverges would do so again.
            _LOG.warning("not trained: %s: %s", " ".join(own), error)
            trial.set_user_attr(_REFUSED, str(error))
            raise engine.TrialPruned from error
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
    compared, refused = _ended(study, engine)
    # Seeded with what is done, so that a search that goes on does not draw its first trials again.
    study.sampler = engine.samplers.TPESampler(seed=settings.seed + len(compared) + len(refused))
    study.optimize(objective, n_trials=max(0, settings.trials - len(compared)))
    compared, refused = _ended(study, engine)
    if not compared:
        raise ConfigurationError(
            f"none of the {len(refused)} combinations that were drawn can be trained; the last: "
            f"{refused[-1].user_attrs[_REFUSED]}",
            where=f"search {settings.name}",
            remedy="Correct the space or the overrides; the lines above name every combination.",
        )
    best = study.best_trial
    return {
        "overrides": [f"{name}={value}" for name, value in sorted(best.params.items())],
        "value": best.value,
        "model_version": best.user_attrs["model_version"],
        "trials": len(compared),
        "refused": len(refused),
    }


def _ended(study: optuna.Study, engine: Any) -> tuple[list[Any], list[Any]]:
    """The trials that were trained and compared, and those whose combination was refused."""
    states = engine.trial.TrialState
    compared, refused = (
        [one for one in study.trials if one.state == state]
        for state in (states.COMPLETE, states.PRUNED)
    )
    return compared, refused


def _training_keys(settings: SearchSettings, plan: Plan) -> list[str]:
    """The key of the training without the space's values, and with values that choose its data.

    Each of those values alone. One that ``plan`` refuses has no key: it needs others of the
    space beside it, or its trial says why.

    Raises
    ------
    ConfigurationError : the training without the space's values is refused.
    UserError : its data cannot be used.
    """
    try:
        keys = [plan(settings.overrides)]
    except ConfigurationError as error:
        raise ConfigurationError(
            f"without the values of the space the training is refused: {error.where}: {error.what}",
            where=f"search {settings.name}",
            remedy="Give in overrides what it needs; the values of the space go before them.",
        ) from error
    for key, one in sorted(settings.space.items()):
        name = key.lstrip("+")
        if name != "segmenter" and not f"{name}.".startswith(
            tuple(f"{chosen}." for chosen in _CHOOSES_DATA)
        ):
            continue
        for value in one.choices if one.choices is not None else (one.high,):
            try:
                keys.append(plan([*settings.overrides, f"{key}={value}"]))
            except UserError:
                continue
    return keys


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
    from lesion_dynamics.workflows.training import run as train

    return train(_composed(overrides))


def key_of_training(overrides: Sequence[str]) -> str:
    """Compose conf/train.yaml with these overrides and plan the training; inside a ``hydra.main``
    function.

    Raises
    ------
    UserError : as ``train.py`` raises them before it trains.
    """
    from lesion_dynamics.workflows.training_plan import plan_training

    return plan_training(_composed(overrides)).key


def _composed(overrides: Sequence[str]) -> TrainSettings:
    values = OmegaConf.to_container(compose("train", list(overrides)), resolve=True)
    assert isinstance(values, dict)
    plain = {str(key): value for key, value in values.items()}
    return validated(
        TrainSettings, plain, lambda key: "conf/train.yaml" + (f", key {key}" if key else "")
    )


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
