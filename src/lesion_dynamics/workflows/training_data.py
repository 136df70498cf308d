"""What a training says of its data: an MLflow dataset, and whether DVC's pin still holds."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from lesion_dynamics.atomic_files import hash_of_content, hash_of_file
from lesion_dynamics.records.lineage import below_the_code
from lesion_dynamics.records.pinned_data import pin_of_cohort
from lesion_dynamics.workflows.training_plan import TrainingPlan

_LOG = logging.getLogger(__name__)
_DIGEST_LENGTH = 32
"""MLflow takes 36."""
_MODIFIED = ("modified", "deleted")


def data_tags(cohort_root: Path) -> dict[str, str]:
    """Tags of the run about its data's state.

    A cohort that is not what its DVC file pins is said in the log: such a training cannot be
    repeated from the recorded hash.
    """
    pin = pin_of_cohort(cohort_root)
    if pin.state in _MODIFIED:
        _LOG.warning(
            "the training data are not those that %s.dvc pins (%s): this training cannot be "
            "repeated from its record unless `dvc commit` pins them; the run is tagged",
            pin.path,
            pin.state,
        )
    tags: dict[str, str] = {"data_state": pin.state}
    if pin.md5 is not None:
        tags["data_dvc_md5"] = pin.md5
    return tags


def dataset_of(plan: TrainingPlan, cohort_root: Path) -> Mapping[str, str]:
    """The run's MLflow dataset; its digest is of the bytes that were read, pinned or not."""
    pin = pin_of_cohort(cohort_root)
    files = {
        " ".join(scan.key): {name: hash_of_file(path) for name, path in scan.input_files.items()}
        | ({"reference": hash_of_file(scan.reference_mask)} if scan.reference_mask else {})
        for scan in plan.scans
    }
    source = {"cohort": plan.cohort.name, "path": pin.path, "md5": pin.md5, "state": pin.state}
    profile = {
        "scans": len(plan.scans),
        "training_participants": len(plan.split.training),
        "validation_participants": len(plan.split.validation),
    }
    return {
        "name": plan.cohort.name,
        "digest": hash_of_content(files)[:_DIGEST_LENGTH],
        "source_type": "local" if pin.md5 is None else "dvc",
        "source": json.dumps(source),
        "profile": json.dumps(profile),
    }


@lru_cache(maxsize=1)
def data_record(key: str, root: Path, masks: Path | None) -> Mapping[str, str | None]:
    """Of the manifest: the pin as it was when the training of this ``key`` began here.

    dvc_md5, path, state : of the pin. file, root, reference_masks : the DVC file, the cohort and
    its masks below the repository of the code; None for what does not lie in it.
    """
    pin = pin_of_cohort(root)
    _LOG.debug("the data of the training %s are pinned by %s", key[:12], pin.path)
    return {
        "dvc_md5": pin.md5,
        "path": pin.path,
        "state": pin.state,
        "file": below_the_code(pin.file),
        "root": below_the_code(root),
        "reference_masks": below_the_code(masks),
    }
