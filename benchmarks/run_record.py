"""What a tracking server holds of the only training that was recorded there, to be compared."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

OF_THE_RUN = {"lineage.json", "configuration.json"}
"""Files that name the folder of their run."""
OF_THE_REGISTRATION = (b"model_uuid:", b"utc_time_created:")
"""Lines of the description that MLflow writes of a model."""
OF_THE_STORE = {"mlflow.log-model.history", "spool_id"}
"""Tags that name the run itself."""


def training_seconds(uri: str) -> float:
    """From the first epoch's metrics to the last one's, as the training wrote them down."""
    client = MlflowClient(uri, uri)
    (run,) = client.search_runs([experiment_of(client)])
    times = [one.timestamp for one in client.get_metric_history(run.info.run_id, "training_loss")]
    return (max(times) - min(times)) / 1000


def experiment_of(client: MlflowClient) -> str:
    """The id of the experiment in which all trainings are recorded."""
    experiment = client.get_experiment_by_name("lesion-dynamics")
    assert experiment is not None
    return str(experiment.experiment_id)


def record_of(uri: str) -> dict[str, Any]:
    """All that the only run of a store holds, without what differs between any two runs."""
    client = MlflowClient(uri, uri)
    runs = client.search_runs([experiment_of(client)])
    if len(runs) != 1:
        return {"runs": len(runs)}
    run_id = runs[0].info.run_id
    with tempfile.TemporaryDirectory() as folder:
        files = {
            path: content_of(Path(client.download_artifacts(run_id, path, folder)))
            for path in paths_of(client, run_id)
        }
    versions = client.search_model_versions("name='lesion-segmenter'")
    same = ("runs", "output", "cohort", "tracking", "cache")
    return {
        "state": runs[0].info.status,
        # As the store gives them: the order in which they arrived, each as often as it is there.
        "metrics": {
            name: [(one.step, one.value) for one in client.get_metric_history(run_id, name)]
            for name in runs[0].data.metrics
        },
        "parameters": {k: v for k, v in runs[0].data.params.items() if not k.startswith(same)},
        "tags": {k: v for k, v in runs[0].data.tags.items() if k not in OF_THE_STORE},
        "datasets": [one.dataset.digest for one in runs[0].inputs.dataset_inputs],
        "files": files,
        "versions": [(one.version, one.tags["weights_sha256"]) for one in versions],
    }


def content_of(path: Path) -> str | None:
    """SHA-256 of a file, without what every registration names anew; None: it names its run."""
    if path.name in OF_THE_RUN:
        return None
    content = path.read_bytes()
    if path.name == "MLmodel":
        lines = content.splitlines(keepends=True)
        content = b"".join(one for one in lines if not one.startswith(OF_THE_REGISTRATION))
    return hashlib.sha256(content).hexdigest()


def paths_of(client: MlflowClient, run_id: str, folder: str | None = None) -> list[str]:
    """Every artifact of a run."""
    found = []
    for item in client.list_artifacts(run_id, folder):
        found += paths_of(client, run_id, item.path) if item.is_dir else [item.path]
    return found
