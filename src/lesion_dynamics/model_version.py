"""A model version as data: what its manifest says, and where its weights lie.

The manifest carries all that inference needs, so nothing in ``conf/infer.yaml`` can make a
model version behave differently from how it was validated.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from lesion_dynamics.atomic_files import hash_of_file
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.settings.operating_point import OperatingPoint
from lesion_dynamics.settings.segmenter import SegmenterSettings
from lesion_dynamics.settings.strict import Strict

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"
NUMBER_FILE = "model_version.json"
MODEL_CARD_FILE = "model_card.md"
ORIGIN_FILE = "origin.json"
"""Where an imported model version comes from."""
REGISTERED_FILES = (WEIGHTS_FILE, MANIFEST_FILE, MODEL_CARD_FILE, ORIGIN_FILE)
"""What a model version consists of, as far as each is there; its number is the registry's."""
MANIFEST_FORMAT = 1
LONGITUDINAL = "longitudinal"
"""The mode in which a participant's sessions inform each other."""
_REMEDY = "Train again, or fetch this model version again from the registry."
_LARGEST_HEADER_BYTES = 100_000_000  # safetensors' own limit
_PICKLE_STARTS = (b"\x80", b"PK\x03\x04")  # a pickle, and the zip that torch.save writes


class Manifest(Strict):
    """What a model version is.

    format : of the manifest itself. name : registered name.
    weights_sha256 : of ``weights.safetensors``; checked at every loading.
    segmenter, operating_point : how a scan becomes a lesion mask.
    validation : metrics on the validation participants. training : lineage (data, code,
        configuration, run). Both are records, read by people and reports.
    """

    format: int = Field(ge=MANIFEST_FORMAT, le=MANIFEST_FORMAT)
    name: str
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    segmenter: SegmenterSettings
    operating_point: OperatingPoint
    validation: dict[str, Any]
    training: dict[str, Any]


def folder_name_of(label: str) -> str:
    """What the derivatives folder of a label is called: every ``/number`` as ``-v<number>``."""
    return re.sub(r"/(\d+)", r"-v\1", label)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered name, its number, its manifest and its weights file.

    mode : of inference, where it is not scan by scan; its outputs carry it in label and folder.
    """

    name: str
    number: int
    manifest: Manifest
    weights: Path
    mode: str = ""

    @property
    def label(self) -> str:
        """``name/number``: what tables record."""
        return f"{self.name}/{self.number}{self._suffix}"

    @property
    def folder_name(self) -> str:
        """``name-v<number>``: what derivatives folders are called."""
        return f"{self.name}-v{self.number}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return f"-{self.mode}" if self.mode else ""


def load_manifest(folder: Path) -> Manifest:
    """Read and check the manifest in ``folder``, and that the weights are the ones it names.

    Raises
    ------
    ModelVersionError : a file is missing, the manifest is not one of ours, or a hash differs.
    """
    manifest_file, weights_file = folder / MANIFEST_FILE, folder / WEIGHTS_FILE
    for path in (manifest_file, weights_file):
        if not path.is_file():
            raise ModelVersionError(
                "this is not a model version: a file is missing", where=path, remedy=_REMEDY
            )
    try:
        manifest = Manifest.model_validate(json.loads(manifest_file.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise ModelVersionError(
            f"not a manifest that this program wrote ({first})", where=manifest_file, remedy=_REMEDY
        ) from None
    require_safetensors(weights_file)
    if hash_of_file(weights_file) != manifest.weights_sha256:
        raise ModelVersionError(
            "the weights are not those that the manifest names (SHA-256 differs)",
            where=weights_file,
            remedy=_REMEDY,
        )
    return manifest


def require_safetensors(path: Path) -> None:
    """Look at the frame of a weights file; nothing in it is run and no tensor is read.

    The format: 8 bytes with the length of a JSON header, the header, then the tensors' bytes
    without gaps (https://github.com/huggingface/safetensors, "Format").

    Raises
    ------
    ModelVersionError : it is a Python pickle, or no safetensors file, or cut short.
    """
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        plausible = len(start) == 8 and 2 <= length <= _LARGEST_HEADER_BYTES
        header = file.read(length) if plausible else b""
        held = os.fstat(file.fileno()).st_size - 8 - length
    try:
        tensors = dict(json.loads(header).items())
        ends = [tensors[name]["data_offsets"][1] for name in tensors if name != "__metadata__"]
        whole = max(ends, default=0) == held
    except (ValueError, TypeError, AttributeError, KeyError, IndexError):
        # Only now: the length of a header may begin with the same byte as a pickle.
        pickled = start.startswith(_PICKLE_STARTS)
        what = "a Python pickle, not safetensors" if pickled else "not a safetensors file"
        raise _not_safetensors(path, f"this is {what}") from None
    if not whole:
        raise _not_safetensors(path, "the weights are cut short, or something follows them")


def _not_safetensors(path: Path, what: str) -> ModelVersionError:
    return ModelVersionError(f"{what}; it is not opened", where=path, remedy=_REMEDY)


def identity_of_files(folder: Path) -> dict[str, str]:
    """What the weights and the manifest in ``folder`` are known by, as tags of a registry.

    Raises
    ------
    ModelVersionError : as :func:`load_manifest`.
    """
    return {
        "weights_sha256": load_manifest(folder).weights_sha256,
        "manifest_sha256": hash_of_file(folder / MANIFEST_FILE),
    }


def load_model_version(folder: Path) -> ModelVersion:
    """A model version from a folder with manifest, weights and its registered number.

    Raises
    ------
    ModelVersionError : as :func:`load_manifest`; or the number is missing.
    """
    manifest = load_manifest(folder)
    number_file = folder / NUMBER_FILE
    try:
        registered = json.loads(number_file.read_text(encoding="utf-8"))
        number = int(registered["number"])
        if registered["name"] != manifest.name:
            raise ValueError(f"it names {registered['name']}, the manifest {manifest.name}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelVersionError(
            f"the registered name and number cannot be read ({error})",
            where=number_file,
            remedy="Train again, or name the model version as NAME/NUMBER.",
        ) from None
    return ModelVersion(manifest.name, number, manifest, folder / WEIGHTS_FILE)
