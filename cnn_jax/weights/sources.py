"""``WeightSource``: one network as another library has it, and how its files are read.

``torchvision.py`` and ``keras.py`` each declare a tuple ``SOURCES``; nobody registers.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

import cnn_jax.weights
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.registry import lookup
from cnn_jax.types import Variables
from cnn_jax.weights import mapping
from cnn_jax.weights.mapping import Arrays, Entry, expected_variables

Interpolation = Literal["bilinear", "nearest"]


def _as_they_are(arrays: Arrays) -> Arrays:
    return arrays


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightSource:
    """A source's network.

    Attributes:
        name: source and architecture as that source calls it: ``"torchvision/vgg16"``.
        build: makes our module that computes the same; every argument has a default, and
            ``num_classes`` is one.
        fields_of: arguments of ``build`` that a file's arrays tell, ``num_classes`` among
            them. It raises ``UserError`` where they don't.
        entries: of a module that ``build`` made: one for each array of its variables.
        constants: of such a module: arrays that a file has and that are no variables. A
            file may lack them, and reading ignores them; writing writes them.
        canonical: the arrays of a file under the keys of ``entries``, for a source whose
            keys differ from file to file.
        preprocessing: what the source's pretrained weights need.
        resize_side: short side in pixels to which images are resized first.
        crop_side: side in pixels of the central crop.
        interpolation: of the resizing.
        source: where these facts are from.
    """

    name: str
    build: Callable[..., Any]
    fields_of: Callable[[Arrays], dict[str, Any]]
    entries: Callable[[Any], tuple[Entry, ...]]
    constants: Callable[[Any], dict[str, np.ndarray]] | None = None
    canonical: Callable[[Arrays], Arrays] = _as_they_are
    preprocessing: Preprocessing
    resize_side: int
    crop_side: int
    interpolation: Interpolation = "bilinear"
    source: str

    def to_variables(self, arrays: Arrays, model: Any) -> Variables:
        """Return the variables, NumPy arrays, of ``model`` from the arrays of a file.

        Args:
            arrays: of a file of this source.
            model: from ``build``.

        Raises:
            UserError: the arrays are not those of this network; one line that names the
                missing, the superfluous or the wrong ones. Nothing is half-loaded.
        """
        return mapping.to_variables(
            self.canonical(arrays),
            self.entries(model),
            expected_variables(model),
            ignored=self._constants(model),
        )

    def to_arrays(self, variables: Variables, model: Any) -> dict[str, np.ndarray]:
        """Return the arrays of a file that this source itself can load.

        Args:
            variables: of ``model``.
            model: from ``build``.

        Raises:
            UserError: the variables are of another network.
        """
        arrays = mapping.to_arrays(
            variables, self.entries(model), expected_variables(model)
        )
        return {**arrays, **self._constants(model)}

    def _constants(self, model: Any) -> dict[str, np.ndarray]:
        return self.constants(model) if self.constants is not None else {}


@cache
def declared_sources() -> dict[str, WeightSource]:
    """Return every source by name.

    Raises:
        ValueError: two sources have one name.
    """
    sources: dict[str, WeightSource] = {}
    for info in pkgutil.iter_modules(cnn_jax.weights.__path__):
        module = importlib.import_module(f"{cnn_jax.weights.__name__}.{info.name}")
        for source in getattr(module, "SOURCES", ()):
            if source.name in sources:
                raise ValueError(f"{source.name!r} is declared twice")
            sources[source.name] = source
    return dict(sorted(sources.items()))


def weight_source(name: str) -> WeightSource:
    """Return a source by name, e.g. ``"torchvision/vgg16"``.

    Raises:
        UserError: no such source; the message holds near names.
    """
    return lookup(declared_sources(), name, what="weights")
