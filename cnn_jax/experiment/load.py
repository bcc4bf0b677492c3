"""``load_run``: the trained network of a run directory."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.codec import decode
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import Experiment
from cnn_jax.experiment.program import pure_steps
from cnn_jax.experiment.source_files import load_user_file
from cnn_jax.training.checkpoint import open_checkpoints
from cnn_jax.training.run_directory import read_json
from cnn_jax.training.state import init_state
from cnn_jax.types import Variables


class LoadedRun(NamedTuple):
    """A trained network: ``model.apply(variables, images, train=False)``.

    Attributes:
        model: the module.
        variables: its parameters and batch statistics after the last step.
        preprocessing: what ``data.preprocessing.apply_preprocessing`` does to pixels.
        experiment: what was run.
    """

    model: Any
    variables: Variables
    preprocessing: Preprocessing
    experiment: Experiment


def load_run(directory: Path | str) -> LoadedRun:
    """Return the network that was trained in ``directory``.

    A run of a user's study file loads the copy of it that lies in the study's directory.

    Args:
        directory: of one run (a study's holds one for each arm and seed).

    Raises:
        UserError: not a run directory, a run that is not finished or diverged, no readable
            checkpoint, or an experiment that names code from elsewhere.
    """
    directory = Path(directory)
    manifest = read_json(directory / "manifest.json")
    if manifest is None or manifest.get("kind") != "run":
        raise UserError(f"{directory} is not a run directory: it has no manifest of a run")
    result = read_json(directory / "result.json")
    if result is None or result["status"] != "finished":
        status = "not finished" if result is None else result["status"]
        raise UserError(f"the run in {directory} is {status}")
    modules = []
    if manifest.get("study_file"):
        modules.append(load_user_file(directory.parent / manifest["study_file"]).__name__)
    experiment: Experiment = decode(manifest["experiment"], modules)
    optimizer, *_ = pure_steps(experiment, experiment.batch_size)
    like = jax.eval_shape(
        lambda seed: init_state(experiment.model, optimizer, seed), np.uint32(0)
    )
    with open_checkpoints(directory / "checkpoints", read_only=True) as checkpoints:
        state, problems = checkpoints.restore(like)
    if state is None or int(state.step) != result["steps"]:
        raise UserError(
            f"{directory} has no readable checkpoint of its last step"
            + "".join(f"; {p}" for p in problems)
        )
    with np.load(directory / "preprocessing.npz") as arrays:
        preprocessing = Preprocessing(**{name: arrays[name] for name in arrays.files})
    variables: Variables = {"params": state.params, "batch_stats": state.batch_stats}
    if not state.batch_stats:
        del variables["batch_stats"]
    return LoadedRun(experiment.model, variables, preprocessing, experiment)
