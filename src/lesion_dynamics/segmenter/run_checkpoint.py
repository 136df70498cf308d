"""Lightning's record of the best checkpoint, for run folders that may be moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint

_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class RunCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` whose state belongs to its folder wherever that lies.

    A training goes on in a renamed checkout, on another mount or in a container. Lightning's own
    forgets the best score there, and the next validation replaces the best checkpoint, however
    bad it is.
    """

    @property
    def state_key(self) -> str:
        """Lightning's own name of the state, so that checkpoint files are those of its class."""
        own = type(self).__qualname__
        return "ModelCheckpoint" + str(super().state_key).removeprefix(own)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a checkpoint file; paths below its folder are now below this one.

        Where the folder is the same, the state is taken as it is.
        """
        there, here = state_dict.get("dirpath"), self.dirpath
        if there is None or here is None or there == here:
            super().load_state_dict(state_dict)
            return
        moved = {name: _moved(state_dict.get(name, ""), there, here) for name in _PATHS}
        scores = {
            _moved(path, there, here): score
            for path, score in state_dict.get("best_k_models", {}).items()
        }
        super().load_state_dict(
            {**state_dict, **moved, "best_k_models": scores, "dirpath": here},
        )


def _moved(path: str, there: str, here: str) -> str:
    """``path`` with the folder ``here`` in place of ``there``; others, and none, as they are."""
    if not path or not Path(path).is_relative_to(there):
        return path
    return str(Path(here) / Path(path).relative_to(there))
