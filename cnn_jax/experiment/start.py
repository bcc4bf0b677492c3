"""``StartFrom``: begin with trained weights instead of drawn ones."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from cnn_jax.codec import digest
from cnn_jax.errors import UserError
from cnn_jax.experiment.finished import finished_run
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.optim.parameter_names import matching
from cnn_jax.training.freezing import frozen_normalisations
from cnn_jax.types import Variables

_NAMED = 3
"""So many parameters an error names; it counts the others."""

_RUN = re.compile(r"(.+)-seed(\d+)")

Place = tuple[str, ...]
"""Of a leaf in the tree of variables: ``("params", "conv1", "kernel")``."""


@dataclass(frozen=True, kw_only=True)
class StartFrom:
    """Which trained weights a run begins with.

    Every parameter of the network that a ``copy`` pattern names, and no ``fresh`` one, must
    be there in the same shape; all others are drawn as usual. The running statistics of a
    batch normalisation come along where all of its parameters do. Where the source
    averaged its parameters, the averages are taken.

    Weights only: the run fits its own normalisation of the pixels to its own training
    images. Weights from elsewhere expect the preprocessing of their source, so their first
    layers see another scale of pixels unless the experiment's ``normalization`` is alike;
    fine-tuning adapts to that, frozen first layers do not.

    Attributes:
        path: a finished run's directory, or a file of weights. The content counts for the
            identity of a run, not the place.
        weights: source and architecture of a file (``"torchvision/vgg16"``); None for a
            run, or for a file that this package wrote.
        copy: patterns of the parameters to take (``"conv*"``, ``"fc6/kernel"``).
        fresh: patterns of those to draw after all, such as a new classifier.
    """

    path: str
    weights: str | None = None
    copy: tuple[str, ...] = ("*",)
    fresh: tuple[str, ...] = ()


def digest_of_start(start: StartFrom) -> str:
    """Return a SHA-256 (hex) that stands for the weights that a run begins with.

    Of a run, that of its parameters, which its result holds (with the rule by which they
    were averaged, if they were); of a file, that of its bytes.

    Raises:
        UserError: nothing there; a run that is not finished or diverged; a file that holds
            no weights, or does not say whose and ``weights`` does not either.
    """
    path = Path(start.path)
    if path.is_dir():
        if start.weights is not None:
            raise UserError(
                f"start_from: weights {start.weights!r} is for a file; {path} is a run"
            )
        manifest, result = finished_run(path)
        parameters: str = result["parameters_sha256"]
        averaging = manifest["experiment"]["fields"].get("averaging")
        return parameters if averaging is None else digest([parameters, averaging])
    if not path.exists():
        raise UserError(f"start_from: {path} does not exist; {_what_makes(path)}")
    _check_file(path, start.weights)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def starting_weights(start: StartFrom, model: Any) -> Variables:
    """Return the part of the network's variables that ``start`` gives.

    Args:
        start: where from, and which.
        model: the network that begins with them.

    Returns:
        ``params`` and ``batch_stats`` with the leaves that are copied and no others:
        float32 NumPy arrays.

    Raises:
        UserError: as ``digest_of_start``; a pattern that matches nothing in this network;
            nothing left to copy; parameters that the source does not have, or has in
            another shape (which ones, and both shapes).
    """
    wanted = _wanted(start, model)
    found = flatten_dict(_source(start))
    missing = [path for path in wanted if path not in found]
    differing = [
        path
        for path, leaf in wanted.items()
        if path in found and found[path].shape != leaf.shape
    ]
    if missing or differing:
        shapes = (
            f"{_name(path)} is {list(found[path].shape)} there, "
            f"{list(wanted[path].shape)} here"
            for path in differing
        )
        problems = [*_few("; ", shapes), *_few(", ", map(_name, missing), "it lacks ")]
        layers = dict.fromkeys("/".join(path[1:-1]) for path in (*differing, *missing))
        pattern = ", ".join(repr(layer) for layer in [*layers][:_NAMED])
        raise UserError(
            f"start_from {start.path}: {'; '.join(problems)}; to draw them, name their "
            f"layers: fresh=({pattern}, ...)"
        )
    return unflatten_dict({path: np.asarray(found[path], np.float32) for path in wanted})


def _wanted(start: StartFrom, model: Any) -> dict[Place, Any]:
    """Return the shapes of the variables to copy, by path in the variables' tree."""
    variables = {"batch_stats": {}} | trace_variables(model)
    params = variables["params"]
    copied = jax.tree.map(
        lambda taken, drawn: taken and not drawn,
        _matching("copy", params, start.copy),
        _matching("fresh", params, start.fresh),
    )
    if not any(jax.tree.leaves(copied)):
        raise UserError(f"start_from {start.path}: copy and fresh leave nothing to copy")
    drawn = jax.tree.map(lambda taken: not taken, copied)
    whole = frozen_normalisations(variables["batch_stats"], drawn)
    chosen = {("params", *path) for path, taken in flatten_dict(copied).items() if taken}
    return {
        path: leaf
        for path, leaf in flatten_dict(variables).items()
        if path in chosen or (path[0] == "batch_stats" and "/".join(path[1:-1]) in whole)
    }


def _matching(field: str, params: Any, patterns: tuple[str, ...]) -> Any:
    try:
        return matching(params, patterns)
    except UserError as error:
        raise UserError(f"start_from, {field}: {error}") from None


def _source(start: StartFrom) -> Variables:
    path = Path(start.path)
    if path.is_dir():
        # Loading needs the declaration of experiments, which needs this module.
        from cnn_jax.experiment.load import load_run

        return load_run(path).variables
    from cnn_jax.weights.load import OWN, load_weights

    return load_weights(start.weights or OWN, path).variables


def _check_file(path: Path, weights: str | None) -> None:
    from cnn_jax.weights.file_kinds import file_kind
    from cnn_jax.weights.network_file import is_network
    from cnn_jax.weights.sources import weight_source

    file_kind(path)
    if weights is not None:
        weight_source(weights)
    elif not is_network(path):
        raise UserError(
            f"start_from: {path} does not say what it holds; "
            f"weights='SOURCE/ARCHITECTURE' does, e.g. 'torchvision/vgg16'"
        )


def _what_makes(path: Path) -> str:
    """Say how a missing path would come to be."""
    run = _RUN.fullmatch(path.name)
    if run and len(path.parts) >= 3 and path.parts[-3] == "runs":
        return (
            f"train it first: cnn-jax train {path.parts[-2]} --dataset {run[1]} "
            f"--seed {run[2]}"
        )
    return "a finished run's directory or a file of weights is needed"


def _name(path: Place) -> str:
    return "/".join(path[1:])


def _few(separator: str, texts: Iterable[str], before: str = "") -> list[str]:
    listed = list(texts)
    if not listed:
        return []
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return [before + separator.join(listed[:_NAMED]) + more]
