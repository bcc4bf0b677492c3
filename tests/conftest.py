import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

# Tests compile more than they compute. In the environment, so that processes which a test
# starts compute the same bits; what is read off a compiled program takes it out.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import jax
import numpy as np
import pytest

from cnn_jax.layers.tracing import trace_variables

# Four CPU devices make parallel code testable anywhere; set in this process only, so that
# commands that a test starts see the machine as it is.
jax.config.update("jax_num_cpu_devices", 4)
# Where a plugin of pytest has imported JAX before this file.
fast = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1"
jax.config.update("jax_disable_most_optimizations", fast)
# [N, C] + [C] is an accident more often than an intention.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def rng() -> jax.Array:
    """A key; the same one in every test."""
    return jax.random.key(0)


@pytest.fixture
def draw() -> np.random.Generator:
    """NumPy's generator, for inputs: no program is compiled for each new shape."""
    return np.random.default_rng(0)


@pytest.fixture
def random_scores(draw: np.random.Generator) -> Callable[..., Any]:
    """``(model, images) -> scores, parameters``: a network with random parameters.

    Biases are random too, so that one in the wrong place shows; NumPy draws them, because
    compiling an initialisation takes seconds.
    """

    def compute(model: Any, images: np.ndarray) -> Any:
        params = jax.tree.map(
            lambda leaf: (draw.standard_normal(leaf.shape) / 10).astype(np.float32),
            trace_variables(model)["params"],
        )
        apply = jax.jit(lambda p, x: model.apply({"params": p}, x, train=False))
        return np.asarray(apply(params, images)), params

    return compute


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_programs() -> Iterator[None]:
    """Free the programs of one test file before the next one starts."""
    yield
    jax.clear_caches()
    gc.collect()
