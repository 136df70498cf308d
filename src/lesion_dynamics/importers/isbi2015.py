"""The longitudinal MS lesion challenge of ISBI 2015 (Carass et al. 2017).

Documented: the data description of the challenge (iacl.ece.jhu.edu/MSChallenge, smart-stats-tools
.org/lesion-challenge-2015) and Carass et al., NeuroImage 2017;148:77-102, doi
10.1016/j.neuroimage.2016.12.064: five training and fourteen test participants, four to six time
points each, every time point delineated by two raters, ``preprocessed`` scans (N4, skull and dura
removed, rigidly aligned to a 1 mm MNI space) and ``orig`` ones. The names are those that public
loaders of ``training_final_v4.zip`` and ``testdata_website_2016-03-24.zip`` use::

    training/training01/preprocessed/training01_01_{flair,mprage,t2,pd}_pp.nii
    training/training01/masks/training01_01_mask{1,2}.nii
    training/training01/orig/training01_01_{flair,mprage,t2,pd}.nii.gz
    testdata_website/test01/preprocessed/test01_01_flair_pp.nii        (no masks)

Our readings: MPRAGE is the T1w, PD the PDw. Masks are drawn on the preprocessed scans, so
``orig`` scans have no reference mask. The dates are not published.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from lesion_dynamics.importers.imported_cohort import (
    UNDATED_RULE,
    ConvertedMask,
    Dataset,
    ImportedCohort,
    ImportedScan,
    LeftOut,
)
from lesion_dynamics.importers.upstream_files import (
    folders_named,
    image_file,
    images_of,
    not_this_dataset,
    participant_id_of,
    session_id_of,
)
from lesion_dynamics.settings.cohort import Prepared

Images = Literal["preprocessed", "orig"]
Rater = Literal["1", "2", "union", "intersection"]

_FOLDER = re.compile(r"(training|test)([0-9]+)", re.ASCII)
_FLAIR = re.compile(r"(.+)_([0-9]+)_flair(?:_pp)?\.nii(?:\.gz)?", re.ASCII)
_SEQUENCES = {"FLAIR": "flair", "T1w": "mprage", "T2w": "t2", "PDw": "pd"}
_PREPARED: dict[Images, Prepared] = {
    "preprocessed": Prepared(skull_stripped=True, sequences_aligned=True, bias_corrected=True),
    "orig": Prepared(),
}
_MASK_RULES: dict[Rater, str] = {
    "1": "Reference mask: rater 1.",
    "2": "Reference mask: rater 2.",
    "union": "Reference mask: a voxel is lesion if either rater marked it (written anew).",
    "intersection": "Reference mask: a voxel is lesion if both raters marked it (written anew).",
}


def read(root: Path, *, images: Images = "preprocessed", rater: Rater = "1") -> ImportedCohort:
    """Read the unpacked training data, test data, or a folder that holds both.

    Parameters
    ----------
    images : which of the two published forms. rater : whose mask is the reference.

    Raises
    ------
    CohortError : nothing of this layout below ``root``.
    """
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    for folder in _participants(root):
        numbers = _time_points(folder / images)
        if not numbers:
            reason = f"no FLAIR in {folder.name}/{images}"
            left_out.append(LeftOut(participant_id_of(folder.name), "n/a", reason))
        scans.extend(
            _scan(folder, number, images, rater, first=number == numbers[0]) for number in numbers
        )
    if not scans:
        raise not_this_dataset("ISBI 2015", root, f"training01/{images}/training01_01_flair_pp.nii")
    return ImportedCohort(_dataset(images, rater), tuple(scans), left_out=tuple(left_out))


def _participants(root: Path) -> list[Path]:
    """Participant folders of ``root`` itself or up to two levels below (as the zips unpack)."""
    levels = [root, *sorted(root.glob("*")), *sorted(root.glob("*/*"))]
    found = [path for level in levels for path, _ in folders_named(level, _FOLDER)]
    return [path for path in found if (path / "preprocessed").is_dir() or (path / "orig").is_dir()]


def _time_points(folder: Path) -> list[str]:
    names = [path.name for path in folder.glob("*_flair*")] if folder.is_dir() else []
    matches = [_FLAIR.fullmatch(name) for name in names]
    return sorted({match[2] for match in matches if match}, key=int)


def _scan(folder: Path, number: str, images: Images, rater: Rater, *, first: bool) -> ImportedScan:
    ending = "_pp" if images == "preprocessed" else ""
    stems = {
        name: f"{folder.name}_{number}_{suffix}{ending}" for name, suffix in _SEQUENCES.items()
    }
    return ImportedScan(
        participant_id=participant_id_of(folder.name),
        session_id=session_id_of(number),
        images=images_of(folder / images, stems),
        days=0.0 if first else None,
        prepared=_PREPARED[images],
        reference_mask=_mask(folder, number, rater) if images == "preprocessed" else None,
    )


def _mask(folder: Path, number: str, rater: Rater) -> Path | ConvertedMask | None:
    masks = [image_file(folder / "masks", f"{folder.name}_{number}_mask{one}") for one in (1, 2)]
    if rater == "1" or rater == "2":
        return masks[int(rater) - 1]
    both = tuple(mask for mask in masks if mask is not None)
    return ConvertedMask(both, combination=rater) if len(both) == 2 else None


def _dataset(images: Images, rater: Rater) -> Dataset:
    no_mask = "The orig scans have no reference mask: masks are drawn on the preprocessed ones."
    return Dataset(
        name="ISBI 2015 longitudinal MS lesion segmentation challenge",
        licence="Research and education only, after registration; see the licence that comes with"
        " the data",
        citation="Carass et al. Longitudinal multiple sclerosis lesion segmentation: resource and"
        " challenge. NeuroImage 2017;148:77-102. doi 10.1016/j.neuroimage.2016.12.064",
        homepage="https://iacl.ece.jhu.edu/index.php/MSChallenge",
        layout_sources=(
            "https://smart-stats-tools.org/lesion-challenge-2015",
            "https://iacl.ece.jhu.edu/index.php/MSChallenge/data",
        ),
        rules=(
            "Everyone counts as MS. Age, sex and scanner are n/a: published for the group only.",
            UNDATED_RULE,
            "MPRAGE is the T1w, PD the PDw.",
            _MASK_RULES[rater] if images == "preprocessed" else no_mask,
        ),
        session_alignment="none" if images == "preprocessed" else "rigid",
    )
