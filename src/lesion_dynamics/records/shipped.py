"""The baseline that comes with the package: registered the first time somebody asks for it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    WEIGHTS_FILE,
    load_manifest,
)
from lesion_dynamics.records.store import Store
from lesion_dynamics.records.training_run import TrainingRun

SHIPPED_NAME: Final = "lesion-baseline"
SHIPPED_FOLDER: Final = Path(__file__).resolve().parents[1] / "baseline"


def register_shipped(store: Store) -> int:
    """Register the shipped weights in ``store``; the number that they have there.

    Raises
    ------
    ModelVersionError : the shipped files are not whole.
    OutputError : the registry does not take it.
    """
    # Not at the top: the registry resolves names with this module.
    from lesion_dynamics.records.registry import register

    manifest = load_manifest(SHIPPED_FOLDER)
    tags = {"shipped": "true", "weights_sha256": manifest.weights_sha256}
    tracked = TrainingRun.start(store, name=f"{SHIPPED_NAME}, as shipped", tags=tags)
    try:
        tracked.log_file(SHIPPED_FOLDER / MODEL_CARD_FILE, "documentation")
        # Registering writes the number beside the files; the package's own folder stays as it is.
        with tempfile.TemporaryDirectory() as folder:
            for name in (WEIGHTS_FILE, MANIFEST_FILE, MODEL_CARD_FILE):
                shutil.copyfile(SHIPPED_FOLDER / name, Path(folder) / name)
            version = register(store, run_id=tracked.run_id, folder=Path(folder))
    except BaseException:
        tracked.fail()
        raise
    tracked.finish()
    return version.number
