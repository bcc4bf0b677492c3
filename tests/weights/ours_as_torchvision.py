"""Our networks on the weights, images and labels of ``seeded.py``."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import optax
from flax.traverse_util import flatten_dict

from cnn_jax.layers.residual import stack
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.models import resnet
from cnn_jax.weights.sources import weight_source
from tests.weights.seeded import seeded_images, seeded_labels, seeded_weights

HERE = Path(__file__).parent
WIDTHS = 8
NARROW_CLASSES = 10
# Whole numbers of a row that are no widths.
GEOMETRY = {"kernel", "size", "stride", "padding", "groups", "window", "bins"}


def fixtures(file):
    """Return what ``make_torchvision_fixtures.py`` wrote."""
    return json.loads((HERE / f"torchvision_{file}.json").read_text())


def network(name):
    """Return source and module of a fixture: ``resnet50``, or ``googlenet/8``."""
    base, _, divided = name.partition("/")
    if not divided:
        source = weight_source(f"torchvision/{base}")
        return source, source.build()
    if base == "resnet14":
        source = weight_source("torchvision/resnet50")
        table = (*resnet.STEM, *stack(resnet.BOTTLENECK, (1, 1, 1, 1)), *resnet.END)
        model = source.build(num_classes=NARROW_CLASSES, table=table)
    else:
        source = weight_source(f"torchvision/{base}")
        model = source.build(num_classes=NARROW_CLASSES)
    return source, model.clone(table=tuple(map(_narrow, model.table)))


def _narrow(row):
    widths = {
        field.name: getattr(row, field.name) // WIDTHS
        for field in dataclasses.fields(row)
        if type(getattr(row, field.name)) is int and field.name not in GEOMETRY
    }
    return dataclasses.replace(row, **widths)


def without_dropout(model):
    def row_without(row):
        fields = {f.name for f in dataclasses.fields(row)} & {"dropout", "rate"}
        return dataclasses.replace(row, **dict.fromkeys(fields, 0.0))

    return model.clone(table=tuple(map(row_without, model.table)))


def seeded(name):
    """Return source, module without dropout, variables, images and labels of a fixture."""
    source, model = network(name)
    shapes = {k: v.shape for k, v in source.to_arrays(zeros(model), model).items()}
    variables = source.to_variables(seeded_weights(shapes), model)
    images = seeded_images(model.input_shape[0]).transpose(0, 2, 3, 1)
    return source, without_dropout(model), variables, images


def train(model, variables, images):
    """Return the scores, those of the heads by name, and the new running statistics."""
    scores, state = model.apply(
        variables, images, train=True, mutable=["batch_stats", "aux_logits"]
    )
    heads = {head: sown["logits"][0] for head, sown in state.get("aux_logits", {}).items()}
    return scores, heads, state.get("batch_stats", {})


def forward(name):
    """Return scores, heads and running statistics, by the fixtures' names; float32."""
    source, model, variables, images = seeded(name)

    @jax.jit
    def compute(variables, images):
        evaluation = model.apply(variables, images, train=False)
        return evaluation, train(model, variables, images)

    evaluation, (scores, heads, stats) = jax.device_get(compute(variables, images))
    after = {**variables, "batch_stats": stats} if stats else variables
    written = source.to_arrays(after, model)
    running = {key: array for key, array in written.items() if ".running_" in key}
    return {"evaluation": evaluation, "training": scores, **heads, **running}


def gradients(name):
    """Return the loss of the seeded labels and its gradients, likewise; float64."""
    source, model, variables, images = seeded(name)

    @jax.jit
    @jax.value_and_grad
    def compute(params, statistics, images):
        scores, heads, _ = train(model, {"params": params, **statistics}, images)
        labels = seeded_labels(model.num_classes)
        entropy = optax.softmax_cross_entropy_with_integer_labels
        auxiliary = sum(entropy(head, labels).mean() for head in heads.values())
        return entropy(scores, labels).mean() + 0.3 * auxiliary

    with jax.enable_x64(True):
        statistics = {k: v for k, v in variables.items() if k != "params"}
        wide = jax.tree.map(np.float64, (variables["params"], statistics, images))
        loss, slopes = jax.device_get(compute(*wide))
    slopes = flatten_dict({"params": slopes})
    return {"loss": loss} | {
        f"gradient of {entry.key}": entry.layout.theirs(slopes[entry.path])
        for entry in source.entries(model)
        if entry.path in slopes
    }


def zeros(model):
    """Return variables of 0 of a model, which take no memory."""
    return jax.tree.map(
        lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), trace_variables(model)
    )
