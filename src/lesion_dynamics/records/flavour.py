"""A model version as a pyfunc flavour, so that MLflow's own tools can load and serve it.

The flavour is models-from-code: beside weights (safetensors) and manifest (JSON) lies a script of
a few lines that names this package. Nothing is pickled. `registry.resolve`, and with it every
command here, reads manifest and weights only; the script is run by ``mlflow.pyfunc.load_model``.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature, set_model
from mlflow.pyfunc import PythonModel, PythonModelContext, save_model
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from lesion_dynamics import __version__
from lesion_dynamics.errors import UserError
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    REGISTERED_FILES,
    WEIGHTS_FILE,
    ModelVersion,
    load_manifest,
)
from lesion_dynamics.settings.segmenter import SegmenterSettings

ARTIFACT_FOLDER: Final = "segmenter"
SCRIPT_FILE: Final = "served_model.py"
_SCRIPT: Final = '''"""Loaded by mlflow.pyfunc; needs the package lesion-dynamics."""

from lesion_dynamics.records.flavour import serve
from lesion_dynamics.workflows.releases.served_volumes import ServedVolumes

serve(ServedVolumes)
'''
PREPARED = ("skull_stripped", "bias_corrected", "sequences_aligned")
"""Parameters of ``predict``: what was done to the scans before, false where not said."""
OUTPUT_COLUMNS = ("lesion_volume_mm3", "lesion_count", "status", "reason", "weights_sha256")
VolumesOfTable = Callable[[pd.DataFrame, Mapping[str, bool]], pd.DataFrame]


def signature(segmenter: SegmenterSettings) -> ModelSignature:
    """One path a sequence in, one row of volumes a scan out; what was prepared as parameters."""
    sequences = [
        ColSpec("string", name, required=name in segmenter.required_sequences)
        for name in segmenter.sequences
    ]
    kinds = ("double", "long", "string", "string", "string")
    volumes = [ColSpec(kind, name) for kind, name in zip(kinds, OUTPUT_COLUMNS, strict=True)]
    params = [ParamSpec(name, DataType.boolean, False) for name in PREPARED]
    return ModelSignature(
        inputs=Schema(sequences), outputs=Schema(volumes), params=ParamSchema(params)
    )


@contextmanager
def as_flavour(folder: Path, segmenter: SegmenterSettings) -> Iterator[Path]:
    """A temporary folder with the model version of ``folder`` as a pyfunc flavour."""
    with tempfile.TemporaryDirectory() as name:
        script, flavour = Path(name) / SCRIPT_FILE, Path(name) / "flavour"
        script.write_text(_SCRIPT, encoding="utf-8")
        own = [file for file in REGISTERED_FILES if (folder / file).is_file()]
        with warnings.catch_warnings():
            # MLflow advises type hints and an input example; the signature says it all.
            warnings.simplefilter("ignore")
            save_model(
                flavour,
                python_model=str(script),
                mlflow_model=Model(metadata={"lesion_dynamics": __version__}),
                signature=signature(segmenter),
                pip_requirements=[f"lesion-dynamics=={__version__}"],
            )
        # Beside MLmodel, where the flavour and the registry find them alike.
        for file in own:
            shutil.copyfile(folder / file, flavour / file)
        _name_own_files(flavour / "MLmodel", own)
        yield flavour


def _name_own_files(description: Path, files: list[str]) -> None:
    """Files of the model version as the flavour's artifacts; the script by its name.

    MLflow records the script's absolute path on this machine and reads its last part alone.
    """
    said = yaml.safe_load(description.read_text(encoding="utf-8"))
    flavour = said["flavors"]["python_function"]
    flavour["model_code_path"] = SCRIPT_FILE
    flavour["artifacts"] = {file: {"path": file, "uri": file} for file in files}
    description.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")


class ServedSegmenter(PythonModel):
    """What ``mlflow.pyfunc.load_model`` returns inside: hashes verified, then volumes."""

    def __init__(self, volumes_of: Callable[[ModelVersion], VolumesOfTable]) -> None:
        self._volumes_of = volumes_of
        self._volumes: VolumesOfTable | None = None

    def load_context(self, context: PythonModelContext) -> None:
        """Called by MLflow at loading: verify the hashes.

        Raises
        ------
        MlflowException : its message is the one line of the refusal.
        """
        folder = Path(context.artifacts[MANIFEST_FILE]).parent
        try:
            manifest = load_manifest(folder)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        # The number is the registry's: the files do not know it, and no answer names it.
        version = ModelVersion(manifest.name, 0, manifest, folder / WEIGHTS_FILE)
        self._volumes = self._volumes_of(version)

    def predict(
        self,
        context: PythonModelContext | None,  # noqa: ARG002  MLflow's interface
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Paths of sequences, a row a scan -> `OUTPUT_COLUMNS`, a row a scan."""
        assert self._volumes is not None, "MLflow calls load_context first"
        prepared = {name: bool((params or {}).get(name, False)) for name in PREPARED}
        return self._volumes(model_input, prepared)


def serve(volumes_of: Callable[[ModelVersion], VolumesOfTable]) -> None:
    """Called by the script: hand MLflow the model."""
    set_model(ServedSegmenter(volumes_of))
