"""A cohort of images that cover a head, with nothing wrong, to be damaged in one place."""

import json

import nibabel as nib
import numpy as np
import yaml
from tests.cohort.cohort_files import BidsTree, write_nifti
from tests.conftest import ROOT

from lesion_dynamics.settings.check import CheckSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.check import check

SHAPE = (10, 12, 10)
AFFINE = np.diag([18.0, 18.0, 18.0, 1.0])
MS, NMO = "sub-ms01", "sub-nmo01"


class Cohort(BidsTree):
    """A `BidsTree` whose images cover a head and are all different; nothing is wrong with it."""

    def write(self):
        super().write()
        sessions = ("session_id days_from_baseline scanner", "ses-01 0 siteA", "ses-02 370 siteA")
        for who in (MS, NMO):
            self.table(f"{who}/{who}_sessions.tsv", *sessions)
        for seed, path in enumerate(sorted(self.root.glob("sub-*/ses-*/anat/*.nii.gz"))):
            self.image_at(path, seed)
        return self

    @staticmethod
    def image_at(path, seed=99, *, affine=AFFINE, shape=SHAPE, dtype=np.float32):
        voxels = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)
        write_nifti(path, voxels, affine=affine)

    def sidecar(self, who, session, **content):
        path = self.image(who, session, "FLAIR")
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(content))

    def stored(self, who, session, change, sequence="FLAIR"):
        """Change a stored image's header."""
        image = nib.load(self.image(who, session, sequence))
        image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
        change(image)
        nib.save(image, self.image(who, session, sequence))


def settings(tree, **changed):
    """The shipped configuration for a tree, in this process alone."""
    study = yaml.safe_load((ROOT / "conf" / "study" / "hong2025.yaml").read_text())
    values = {
        "cohort": tree.settings,
        "required_sequences": ["FLAIR"],
        "optional_sequences": ["T1w", "T2w"],
        "pixels": True,
        "processes": 1,
        "shown_findings": 20,
        "study": study,
        "output": tree.root.parent / "check",
    }
    return validated(CheckSettings, {**values, **changed})


def kinds(tree, **changed):
    return [finding.kind for finding in check(settings(tree, **changed)).findings]


def moved(image):
    affine = AFFINE.copy()
    affine[1, 3] += 7
    image.set_qform(affine, code=1)
