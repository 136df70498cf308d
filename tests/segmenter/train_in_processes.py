"""One small training, in as many processes as asked for; started by test_distributed.py.

python -m tests.segmenter.train_in_processes FOLDER PROCESSES: prepared scans are in
FOLDER/scans; each process writes the patch numbers it saw, the first the last weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tests.segmenter.small_training import trained

from lesion_dynamics.segmenter.fit import is_first_process
from lesion_dynamics.segmenter.patches import LabelledScans
from lesion_dynamics.segmenter.training_scans import TrainingScan

OVERRIDES = (
    "patch.batch=4",
    # The mean over voxels of a batch is the mean of the processes' means; Dice is not.
    "loss.dice_weight=0",
    "optimiser.weight_average_decay=0.5",
    "trainer.accumulate_batches=2",
)


def main(folder: Path, processes: int) -> None:
    scans = [TrainingScan(f"sub-{n:02d}", "ses-01", folder / f"scans/scan{n}") for n in range(4)]
    seen: list[int] = []
    whole = LabelledScans.scan_index

    def watched(self: LabelledScans, number: int) -> int:
        seen.append(number)
        return whole(self, number)

    LabelledScans.scan_index = watched
    run_folder = folder / f"run{processes}"
    run_folder.mkdir(exist_ok=True)
    weights, fitted = trained(scans, run_folder, *OVERRIDES, f"trainer.devices={processes}")
    name = "first" if is_first_process() else "other"
    content = json.dumps({"numbers": seen, "history": fitted.history})
    (run_folder / f"{name}.json").write_text(content)
    if is_first_process():
        torch.save(weights, run_folder / "weights.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
