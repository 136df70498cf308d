"""A small BIDS cohort on disk that each test can spoil in its own way."""

from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.settings.cohort import CohortSettings, Prepared

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
SHAPE = (4, 5, 6)


def write_nifti(path, voxels=None, *, affine=AFFINE, shape=SHAPE):
    path.parent.mkdir(parents=True, exist_ok=True)
    if voxels is None:
        voxels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    nib.Nifti1Image(voxels, affine).to_filename(path)


@dataclass
class BidsTree:
    """Two participants with MS and NMOSD, two sessions each; FLAIR and T1w; one attack."""

    root: Path
    prepared: Prepared = field(default_factory=lambda: Prepared(sequences_aligned=True))
    reference_masks: Path | None = None
    prefer: tuple[str, ...] = CohortSettings.model_fields["prefer"].default

    def write(self):
        self.table(
            "participants.tsv",
            "participant_id diagnosis age sex scanner",
            "sub-ms01 MS 31 F siteA",
            "sub-nmo01 NMOSD n/a M n/a",
        )
        self.table(
            "phenotype/attacks.tsv",
            "participant_id attack_id days_from_baseline",
            "sub-ms01 1 -400",
        )
        for participant in ("sub-ms01", "sub-nmo01"):
            self.table(
                f"{participant}/{participant}_sessions.tsv",
                "session_id days_from_baseline scanner",
                "ses-01 0 siteB",
                "ses-02 370 n/a",
            )
            for session in ("ses-01", "ses-02"):
                for sequence in ("FLAIR", "T1w"):
                    write_nifti(self.image(participant, session, sequence))
        return self

    def table(self, name, *lines):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line.replace(" ", "\t") for line in lines) + "\n")

    def image(self, participant, session, sequence):
        anat = self.root / participant / session / "anat"
        return anat / f"{participant}_{session}_{sequence}.nii.gz"

    @property
    def settings(self):
        return CohortSettings(
            name="test",
            layout="bids",
            root=self.root,
            prepared=self.prepared,
            reference_masks=self.reference_masks,
            prefer=self.prefer,
        )


def tables_of(sessions, attacks, *, recorded=True):
    """Tables of MS participants.

    sessions : days of each participant, by id; attacks : pairs of participant and day, or None.
    """
    rows = [
        (who, f"ses-{number:02d}", float(day), None)
        for who, days in sessions.items()
        for number, day in enumerate(days, start=1)
    ]
    people = [(who, "MS", np.nan, None, None) for who in sessions]
    names = ["participant_id", "diagnosis", "age_years", "sex", "scanner"]
    return CohortTables(
        participants=pd.DataFrame(people, columns=names),
        sessions=pd.DataFrame(
            rows, columns=[names[0], "session_id", "days_from_baseline", names[4]]
        ),
        attacks=pd.DataFrame(
            {
                "participant_id": pd.Series([who for who, _ in attacks], dtype="str"),
                "days_from_baseline": pd.Series([day for _, day in attacks], dtype="float64"),
            }
        ),
        attacks_recorded=recorded,
    )
