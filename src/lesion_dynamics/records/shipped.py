"""The baseline that comes with the package: registered the first time somebody asks for it.

A number never changes its meaning: in a store that has the baseline of an earlier release, this
release's becomes the next version, and ``lesion-baseline@shipped`` stands for it.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    WEIGHTS_FILE,
    load_manifest,
)
from lesion_dynamics.records.store import Store, sole_registration
from lesion_dynamics.records.training_run import TrainingRun
from lesion_dynamics.settings.tracking import TrackingSettings

_LOG = logging.getLogger(__name__)
SHIPPED_NAME: Final = "lesion-baseline"
SHIPPED_ALIAS: Final = "shipped"
"""What this package ships, by its bytes; no alias of the registry, which releases may share."""
SHIPPED_FOLDER: Final = Path(__file__).resolve().parents[1] / "baseline"
_PATIENCE_SECONDS = 60.0
"""How long another machine that registers it is waited for; then it is taken for dead."""
_PAUSE_SECONDS = 0.5


def in_store(
    wanted: str, store: Store, tracking: TrackingSettings, *, is_alias: bool
) -> tuple[str, bool]:
    """What of `SHIPPED_NAME` is wanted, as the registry knows it, and whether that is an alias.

    Raises
    ------
    ModelVersionError, OutputError : as :func:`register_shipped`.
    """
    from lesion_dynamics.records.registry import find_same, versions_of

    if is_alias and wanted == SHIPPED_ALIAS:
        return str(_number(store, tracking)), False
    if not versions_of(store, SHIPPED_NAME):
        _number(store, tracking)
    elif not is_alias:
        with suppress(ModelVersionError):  # damaged files of the package do not matter here
            if str(find_same(store, SHIPPED_FOLDER)) != wanted:
                _LOG.info(
                    "%s/%s is not what this release of the package ships; that is %s@%s",
                    *(SHIPPED_NAME, wanted, SHIPPED_NAME, SHIPPED_ALIAS),
                )
    return wanted, is_alias


def _number(store: Store, tracking: TrackingSettings) -> int:
    """The number of what this package ships, in ``store``; registered there if it is not yet."""
    from lesion_dynamics.records.registry import find_same

    number = find_same(store, SHIPPED_FOLDER)
    if number is not None:
        return number
    with sole_registration(tracking):
        number = find_same(store, SHIPPED_FOLDER)  # another process may have been quicker
        return register_shipped(store) if number is None else number


def register_shipped(store: Store) -> int:
    """Register the shipped weights in ``store``; the number that they have there.

    Of several machines that ask a fresh server at once one registers them: the one that makes the
    registered name, which a registry lets only one do. The others wait for a version of it. Where
    there is one, of another release or of a training, `records.registry.register_once` keeps it
    to one number, and the alias of the newest version stays where it is.

    Raises
    ------
    ModelVersionError : the shipped files are not whole.
    OutputError : the registry does not take it.
    """
    # Not at the top: the registry resolves names with this module.
    from lesion_dynamics.records.registry import find_same, register_once, take_name, versions_of

    manifest = load_manifest(SHIPPED_FOLDER)
    if not take_name(store, SHIPPED_NAME):
        until = time.monotonic() + _PATIENCE_SECONDS
        while not versions_of(store, SHIPPED_NAME) and time.monotonic() < until:
            time.sleep(_PAUSE_SECONDS)
        number = find_same(store, SHIPPED_FOLDER)
        if number is not None:
            return number
    others = bool(versions_of(store, SHIPPED_NAME))
    tags = {"shipped": "true", "weights_sha256": manifest.weights_sha256}
    tracked = TrainingRun.start(store, name=f"{SHIPPED_NAME}, as shipped", tags=tags)
    try:
        tracked.log_file(SHIPPED_FOLDER / MODEL_CARD_FILE, "documentation")
        # Registering writes the number beside the files; the package's own folder stays as it is.
        with tempfile.TemporaryDirectory() as folder:
            for name in (WEIGHTS_FILE, MANIFEST_FILE, MODEL_CARD_FILE):
                shutil.copyfile(SHIPPED_FOLDER / name, Path(folder) / name)
            number = register_once(
                store, run_id=tracked.run_id, folder=Path(folder), as_candidate=not others
            )
    except BaseException:
        tracked.fail()
        raise
    tracked.finish()
    return number
