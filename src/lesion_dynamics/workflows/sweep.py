"""Several trainings in one command: ``python train.py -m segmenter=unet,dynunet seed=1,2,3``.

Hydra runs the jobs; this callback of it (named in conf/train.yaml) makes them one sweep: an MLflow
run above theirs that ends with a table and a picture, mean and spread over the seeds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from lesion_dynamics.atomic_files import hash_of_content, write_text
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.tracking import TrackingSettings
from lesion_dynamics.workflows.training_version import registered_run

_LOG = logging.getLogger(__name__)
PARENT_VARIABLE = "LESION_DYNAMICS_PARENT_RUN"
"""How jobs learn of their sweep, whatever process they run in; conf/train.yaml reads it."""


class SweepRecord(Callback):
    """Does nothing outside of a sweep. Hydra's interface prescribes the ``**kwargs``."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Start the sweep's run, or find that of the same sweep before."""
        from lesion_dynamics.records.sweep_run import start_or_find_sweep

        overrides = sorted(OmegaConf.to_container(config.hydra.overrides.task) or [])
        store = _store(_plain(config, overrides))
        parent = start_or_find_sweep(
            store, key=hash_of_content(overrides), name="sweep " + " ".join(overrides)
        )
        os.environ[PARENT_VARIABLE] = parent

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002
        """List a finished training under the sweep."""
        parent = os.environ.get(PARENT_VARIABLE)
        if parent is None or job_return.status != JobStatus.COMPLETED:
            return
        from lesion_dynamics.records.sweep_run import record_training

        version = job_return.return_value
        assert isinstance(version, ModelVersion)
        overrides = [str(one) for one in job_return.overrides or []]
        run_id = registered_run(version.weights.parent)
        if run_id is None:
            _LOG.warning(
                "a training is not listed under its sweep: the tracking server has not taken it "
                "yet. The same sweep, started again, lists it without training again."
            )
            return
        record_training(
            _store(OmegaConf.to_container(config, resolve=True)),
            run_id,
            parent=parent,
            overrides=overrides,
        )

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Lay the trainings side by side."""
        parent = os.environ.pop(PARENT_VARIABLE, None)
        if parent is None:
            return
        overrides = sorted(OmegaConf.to_container(config.hydra.overrides.task) or [])
        values = _plain(config, overrides)
        folder = Path(str(values["runs"])) / "sweeps" / hash_of_content(overrides)[:12]
        _compare(_store(values), parent, folder)


def _compare(store: Any, parent: str, folder: Path) -> None:
    import pandas as pd

    from lesion_dynamics.records.sweep_run import finish_sweep, trainings_of
    from lesion_dynamics.report.sweep_comparison import (
        METRICS,
        compare,
        draw_comparison,
        settings_of,
    )

    found = trainings_of(store, parent)
    if not found:
        return
    trainings = pd.DataFrame(
        {
            "setting": setting,
            "overrides": " ".join(overrides),
            "run_id": run_id,
            **{metric: metrics.get(metric, float("nan")) for metric in METRICS},
        }
        for setting, (overrides, run_id, metrics) in zip(
            settings_of([overrides for overrides, _, _ in found]), found, strict=True
        )
    )
    comparison = compare(trainings)
    write_text(folder / "trainings.tsv", trainings.to_csv(sep="\t", index=False, na_rep="n/a"))
    write_text(folder / "comparison.tsv", comparison.to_csv(sep="\t", index=False, na_rep="n/a"))
    drawn = draw_comparison(folder, trainings)
    files = [folder / "trainings.tsv", folder / "comparison.tsv", *drawn]
    finish_sweep(store, parent, comparison=comparison, files=files)
    _LOG.info("%s\nwritten to %s", comparison.to_string(index=False, na_rep="n/a"), folder)


def _plain(config: DictConfig, overrides: list[str]) -> Mapping[str, Any]:
    """Where runs are recorded: the composed keys, and overrides of theirs without a sweep."""
    wanted = OmegaConf.create({"tracking": config.tracking, "runs": config.runs})
    plain = [one for one in overrides if one.startswith(("tracking.", "runs=")) and "," not in one]
    values = OmegaConf.to_container(OmegaConf.merge(wanted, OmegaConf.from_dotlist(plain)))
    assert isinstance(values, Mapping)
    return values


def _store(values: Any) -> Any:
    from lesion_dynamics.records.store import open_store

    return open_store(validated(TrackingSettings, values["tracking"]))
