"""Several trainings in one command: ``python train.py -m segmenter=unet,dynunet seed=1,2,3``.

Hydra runs the jobs; this callback of it (named in conf/train.yaml) makes them one sweep: an MLflow
run above theirs that ends with a table and a picture, mean and spread over the seeds. The sweep's
run is spooled like a training's, and the comparison is made from what the trainings left on disk:
no tracking server has to answer, at the start or at the end.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from lesion_dynamics.atomic_files import hash_of_content, write_json, write_text
from lesion_dynamics.errors import UserError
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.tracking import TrackingSettings
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.workflows.command import refusals, when_cut_short
from lesion_dynamics.workflows.sweep_jobs import (
    given_overrides,
    require_one_process,
    valid_jobs,
)
from lesion_dynamics.workflows.training_version import UNREGISTERED, run_reference

if TYPE_CHECKING:
    from lesion_dynamics.records.spooled_run import SpooledRun

_LOG = logging.getLogger(__name__)
PARENT_VARIABLE = "LESION_DYNAMICS_PARENT_RUN"
"""How jobs learn of their sweep, whatever process they run in; conf/train.yaml reads it."""
_TRAININGS = "trainings"
_SWEEPS = ("choice(", "range(", "interval(", "glob(")
_SOURCE = ("report/sweep_comparison", "workflows/sweep")
_WHERE = ("tracking=", "tracking.", "runs=")


Step = TypeVar("Step", bound=Callable[..., None])


def _heard(step: Step) -> Step:
    """Hydra turns what a callback raises into a warning, and ends the sweep as if all were well."""

    @functools.wraps(step)
    def heard(*arguments: Any, **keywords: Any) -> None:
        with refusals():
            try:
                step(*arguments, **keywords)
            except UserError:
                raise
            except Exception:
                _LOG.exception("the sweep was not recorded whole; this is a defect")
                raise

    return cast("Step", heard)


class SweepRecord(Callback):
    """Does nothing outside of a sweep. Hydra's interface prescribes the ``**kwargs``."""

    def __init__(self) -> None:
        self._run: SpooledRun | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Launchers carry callbacks into other processes: the run stays in this one."""
        return {"_run": None}

    @_heard
    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Start the sweep's run, or go on with that of the same sweep before.

        Raises
        ------
        ConfigurationError : of any job, before the first one begins.
        """
        for settings, origin in valid_jobs(config, TrainSettings):
            require_one_process(settings.trainer, where=origin(""))
        from lesion_dynamics.records.sweep_run import start_or_go_on_with_sweep

        values = _plain(config)
        overrides = sorted(_telling(given_overrides(config)))
        self._run = start_or_go_on_with_sweep(
            validated(TrackingSettings, values["tracking"]),
            key=hash_of_content(overrides),
            name="sweep " + " ".join(filter(_is_swept, overrides)),
        )
        when_cut_short(self._cut_short)
        os.environ[PARENT_VARIABLE] = self._run.reference
        # Those of the same sweep before: what is done is found again, and may have changed.
        shutil.rmtree(_folder(values["runs"], self._run.reference) / _TRAININGS, ignore_errors=True)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Hydra has just kept the sweep's configuration, an address with its password included."""
        (Path(str(config.hydra.sweep.dir)) / "multirun.yaml").unlink(missing_ok=True)

    @_heard
    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002
        """Note a finished training, in whatever process it was."""
        parent = os.environ.get(PARENT_VARIABLE)
        alone = OmegaConf.is_missing(config.hydra.job, "num")
        if parent is None or alone or job_return.status != JobStatus.COMPLETED:
            return
        version = job_return.return_value
        assert isinstance(version, ModelVersion)
        from lesion_dynamics.records.lineage_file import of_model_version
        from lesion_dynamics.workflows.cross_validation import fold_validated

        overrides = _telling(job_return.overrides or [])
        name = f"{hash_of_content(overrides)[:12]}.json"
        write_json(
            _folder(config.runs, parent) / _TRAININGS / name,
            {
                "number": int(config.hydra.job.num),
                "overrides": overrides,
                "run": run_reference(version.weights.parent),
                "measured": _finite(version.manifest.validation["all"]),
                **fold_validated(version, config),
                "label": version.label,
                "model_version": of_model_version(version),
            },
        )

    @_heard
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Lay the trainings side by side."""
        os.environ.pop(PARENT_VARIABLE, None)
        run, self._run = self._run, None
        if run is None:
            return
        try:
            _compare(run, _folder(_plain(config)["runs"], run.reference))
            run.finish()
        except BaseException:
            run.fail()
            raise
        finally:
            run.close()

    def _cut_short(self, interrupted: bool) -> None:
        """A job failed, or somebody pressed Ctrl-C: Hydra tells no callback."""
        os.environ.pop(PARENT_VARIABLE, None)
        run, self._run = self._run, None
        if run is not None:
            (run.interrupt if interrupted else run.fail)()
            run.close()


def _compare(run: SpooledRun, folder: Path) -> None:
    import pandas as pd

    from lesion_dynamics.records.lineage_file import LINEAGE_FILE
    from lesion_dynamics.records.sweep_run import list_training, record_comparison
    from lesion_dynamics.report.sweep_comparison import (
        METRICS,
        compare,
        draw_comparison,
        settings_of,
        too_few,
    )
    from lesion_dynamics.workflows.cross_validation import write_cross_validation

    found = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (folder / _TRAININGS).glob("*.json")
    ]
    found.sort(key=lambda one: int(one["number"]))
    if not found:
        return
    for setting, one in zip(settings_of([one["overrides"] for one in found]), found, strict=True):
        one["setting"] = setting
    trainings = pd.DataFrame(
        {
            "setting": one["setting"],
            "overrides": " ".join(one["overrides"]),
            "run": one["run"],
            **{name: one["measured"].get(name.removeprefix("final_")) for name in METRICS},
        }
        for one in found
    )
    trainings = trainings.astype(dict.fromkeys(METRICS, float))
    comparison = compare(trainings)
    write_text(folder / "trainings.tsv", trainings.to_csv(sep="\t", index=False, na_rep="n/a"))
    write_text(folder / "comparison.tsv", comparison.to_csv(sep="\t", index=False, na_rep="n/a"))
    drawn = draw_comparison(folder, trainings)
    for one in found:
        if one["run"] is not None:
            list_training(run, one["run"], one["overrides"])
    files = [folder / "trainings.tsv", folder / "comparison.tsv", *drawn]
    files += write_cross_validation(folder, found)
    _write_lineage(folder, found, files)
    files.append(folder / LINEAGE_FILE)
    record_comparison(run, comparison=comparison, files=files)
    for name, count in too_few(trainings).items():
        _LOG.warning(
            "%s: %d training(s). What the setting does cannot be told from what chance does: "
            "train it with three seeds or more (seed=1,2,3)", name, count,
        )  # fmt: skip
    _LOG.info("%s\nwritten to %s", comparison.to_string(index=False, na_rep="n/a"), folder)


def _write_lineage(folder: Path, found: Sequence[Mapping[str, Any]], files: Sequence[Path]) -> None:
    """``lineage.json``: every training's model version, and what distinguishes it."""
    from lesion_dynamics.records.lineage_file import write_lineage

    versions = {_named(one): one["model_version"] for one in found}
    # What all share is in their configurations; places, which are of this machine, are among it.
    shared = set(found[0]["overrides"]).intersection(*(one["overrides"] for one in found[1:]))
    write_lineage(
        folder,
        command="train.py -m",
        source=_SOURCE,
        inputs={
            "sha256": {
                f"weights of {name}": said["weights_sha256"] for name, said in versions.items()
            },
            "derivatives": {},
        },
        settings={
            "overrides": {
                _named(one): [own for own in one["overrides"] if own not in shared] for one in found
            }
        },
        model_versions=versions,
        outputs={path.name: path for path in files},
    )


def _named(training: Mapping[str, Any]) -> str:
    """The version's label; of one that has no number yet, its own all the same."""
    label, own = str(training["label"]), training["model_version"]["weights_sha256"][:12]
    return f"{label} {own}" if label.endswith(f"/{UNREGISTERED}") else label


def _folder(runs: Any, reference: str) -> Path:
    return Path(str(runs)) / "sweeps" / reference.removeprefix("spool-")[:12]


def _finite(measured: Mapping[str, Any]) -> dict[str, float]:
    known = {name: float("nan") if v is None else float(v) for name, v in measured.items()}
    return {name: value for name, value in known.items() if math.isfinite(value)}


def _telling(overrides: Iterable[Any]) -> list[str]:
    """Those that say what is trained; where it is recorded says nothing, and may hold secrets."""
    return [str(one) for one in overrides if not str(one).startswith(_WHERE)]


def _is_swept(override: str) -> bool:
    """Whether an override gives several values: a list in brackets is one."""
    value = override.partition("=")[2]
    return value.startswith(_SWEEPS) or "," in re.sub(r"\[[^]]*\]|\{[^}]*\}|'[^']*'", "", value)


def _plain(config: DictConfig) -> Mapping[str, Any]:
    """Where runs are recorded: the composed keys, and overrides of theirs without a sweep."""
    wanted = OmegaConf.create({"tracking": config.tracking, "runs": config.runs})
    given = given_overrides(config)
    plain = [one for one in given if one.startswith(("tracking.", "runs=")) and "," not in one]
    merged = OmegaConf.merge(wanted, OmegaConf.from_dotlist(plain))
    # An address may be written as the name of an environment variable.
    values = OmegaConf.to_container(merged, resolve=True)
    assert isinstance(values, Mapping)
    return values
