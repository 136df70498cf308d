"""Release three versions one after the other; each joins the study, and nothing is done twice.

python benchmarks/release_versions.py (make test-release). In a repository of its own with the small
phantom and trainings of two epochs, nothing stands in for anything:

1. `dvc repro` makes version 1 and its study.
2. A second training (another seed and split); `lesion-dynamics promote` of version 1, then of
   version 2: its study is made first, the champion is measured on version 2's validation scans.
3. The training stage of dvc.yaml gets a third seed; `dvc repro` makes version 3 and its study.
4. `release` of version 3 and `dvc repro` again: nothing is left to do.

Prints what each step segmented and analysed; exits with 1 if a mask of an earlier version was
written again, or a version is missing from the comparison.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from repository_copy import SMALL, dvc, python, repository

logger = logging.getLogger("release_versions")
NAME = "lesion-segmenter"
STUDY = Path("results/study")
Written = dict[str, int]


def masks(place: Path) -> Written:
    """Every mask, and when it was written."""
    found = (place / "derivatives").rglob("*_label-L_mask.nii.gz")
    return {path.relative_to(place).as_posix(): path.stat().st_mtime_ns for path in found}


class Steps:
    """Runs steps in the repository and keeps what each of them did."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.done: dict[str, dict[str, Any]] = {}

    def run(self, title: str, *arguments: str, by_dvc: bool = False) -> dict[str, Any]:
        """One command; the versions whose masks were written, and whether the study was."""
        before, study = masks(self.place), self._study()
        begin = time.monotonic()
        said = (dvc if by_dvc else python)(self.place, *arguments)
        after = masks(self.place)
        written = [name for name, state in after.items() if before.get(name) != state]
        found = {
            "masks_written": {
                folder: sum(f"/{folder}/" in name for name in written)
                for folder in sorted({name.split("/")[2] for name in written})
            },
            "study_written": self._study() != study,
            "seconds": round(time.monotonic() - begin, 1),
        }
        self.done[title] = found
        logger.info("%s: %s", title, json.dumps(found))
        (self.place.parent / "said.txt").open("a").write(f"# {title}\n{said}\n")
        return found

    def command(self, title: str, *arguments: str) -> dict[str, Any]:
        """A command of ``lesion-dynamics``."""
        return self.run(title, "-m", "lesion_dynamics.commands", *arguments)

    def _study(self) -> int:
        path = self.place / STUDY / "statistics.tsv"
        return path.stat().st_mtime_ns if path.is_file() else 0


def rows(path: Path) -> list[dict[str, str]]:
    """Of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def compared(place: Path) -> dict[str, Any]:
    """What the study says of the versions."""
    verdicts = rows(place / STUDY / "verdicts.tsv")
    pages = place / STUDY / "report"
    page = (pages / "comparison.html").read_text(encoding="utf-8")
    return {
        "versions_in_statistics": sorted({r["model_version"] for r in rows(
            place / STUDY / "statistics.tsv")}),
        "pairs_with_verdicts": sorted({f"{r['reference']} {r['model_version']}" for r in verdicts}),
        "pages": sorted(path.name for path in pages.glob("*.html")),
        "versions_on_the_comparison_page": [
            n for n in range(1, 4) if f"{NAME}/{n}" in page],
    }  # fmt: skip


def log_of_promotions(place: Path) -> list[dict[str, Any]]:
    """Its entries."""
    path = place / "tracking" / "promotions" / f"{NAME}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def three_versions(place: Path) -> tuple[Steps, dict[str, bool]]:
    """The steps, and what must hold of them."""
    steps = Steps(place)
    first = steps.run("dvc repro: version 1", "repro", by_dvc=True)
    python(place, "train.py", *SMALL["train"], "seed=2", "output=models/second")
    promoted = steps.command("promote version 1", "promote", f"model_version={NAME}/1")
    forced = ("force=true", "reason=a try")
    second = steps.command("promote version 2", "promote", f"model_version={NAME}/2", *forced)
    stages = (place / "dvc.yaml").read_text(encoding="utf-8")
    (place / "dvc.yaml").write_text(stages.replace("train.py ", "train.py seed=3 ", 1))
    third = steps.run("dvc repro: version 3", "repro", by_dvc=True)
    again = steps.command("release version 3 again", "release", f"model_version={NAME}/3")
    nothing = steps.run("dvc repro again", "repro", by_dvc=True)
    found = compared(place)
    steps.done["compared"] = found
    entries = log_of_promotions(place)
    measured = [one["model_version"] for one in entries[1]["measured_again"]]
    steps.done["promotions"] = {
        "to": [one["to"] for one in entries],
        "gates_of_version_2": entries[1]["gates"],
        "measured_again": entries[1]["measured_again"],
    }
    scans = first["masks_written"].get(f"{NAME}-v1", 0)
    labels = [f"{NAME}/{number}" for number in (1, 2, 3)]
    return steps, {
        "version 1 made": scans > 0 and first["study_written"],
        "its promotion changes nothing": not promoted["masks_written"],
        "version 2 alone is segmented": second["masks_written"] == {f"{NAME}-v2": scans},
        "its study is made": second["study_written"],
        "the champion is measured on its scans": f"{NAME}/1" in measured,
        "version 3 alone is segmented": third["masks_written"] == {f"{NAME}-v3": scans},
        "all three are in the study": set(labels) <= set(found["versions_in_statistics"]),
        "all are compared": found["versions_on_the_comparison_page"] == [1, 2, 3],
        "nothing is done twice": not again["masks_written"] and not again["study_written"],
        "nor by dvc": not nothing["masks_written"] and not nothing["study_written"],
    }


def main() -> int:
    """Three versions, one study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--keep", type=Path, help="where the repository is left for a look")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "repository"
        place.mkdir()
        repository(place)
        try:
            steps, good = three_versions(place)
        finally:
            if given.keep is not None:
                shutil.copytree(Path(temporary), given.keep, dirs_exist_ok=True)
    for what, holds in good.items():
        logger.info("%-40s %s", what, "yes" if holds else "NO")
    if given.results is not None:
        given.results.write_text(json.dumps({**steps.done, "holds": good}, indent=2) + "\n")
    return 0 if all(good.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
