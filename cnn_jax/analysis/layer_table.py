"""The table of a network, row by row, found by tracing: no device, no memory.

A row of the network's table is traced as a network of its own, for the shape that the row
above it gives; rows that are equal but for their names are traced once.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax.analysis.compute import counted_macs
from cnn_jax.analysis.receptive_field import Fields, Place, Seen, follow
from cnn_jax.errors import UserError
from cnn_jax.layers.checks import check_names
from cnn_jax.layers.tracing import is_auxiliary, trace_output, trace_variables
from cnn_jax.maths.receptive_field import pixels
from cnn_jax.types import ImageShape

FLOAT32 = 4
"""Bytes of a value."""


@dataclass(frozen=True)
class LayerRow:
    """One row of the table, for one image.

    Attributes:
        name: the paper's.
        kind: what it is, e.g. ``"MaxPool"``.
        output_shape: without the batch.
        parameters: trainable ones.
        macs: multiply-adds of its convolutions and dense layers.
        receptive_field: height and width, in pixels, of the smallest box outside which no
            pixel changes a unit: of a unit away from the border, on an image that is large
            enough, so it can be larger than the input. Where a unit has no place
            (``effective_stride`` is None) or sees all that its neighbours see: the box of
            the input's pixels that reach it, for most networks all of them.
        effective_stride: pixels between the fields of neighbouring units, down and across;
            None where units have no place in the image (dense layers, global pooling).
        activation_memory: bytes of its output in float32. What a module or a block keeps
            inside, and what training keeps for the gradient, is not counted.
        auxiliary: an auxiliary head, which only training runs; no total counts it.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    receptive_field: tuple[int, int]
    effective_stride: tuple[int, int] | None
    activation_memory: int
    auxiliary: bool = False


class Totals(NamedTuple):
    """Sums over the rows of a table, auxiliary heads left out."""

    parameters: int
    macs: int
    activation_memory: int


def totals(rows: tuple[LayerRow, ...]) -> Totals:
    """Return the sums of a table; the memory is that of all outputs kept at once."""
    main = [row for row in rows if not row.auxiliary]
    return Totals(
        parameters=sum(row.parameters for row in main),
        macs=sum(row.macs for row in main),
        activation_memory=sum(row.activation_memory for row in main),
    )


def layer_table(model: Any, input_shape: ImageShape | None = None) -> tuple[LayerRow, ...]:
    """Return the rows of a network, in order.

    Args:
        model: a module with a ``table`` of named rows and an ``input_shape``.
        input_shape: height, width, channels; None for the model's own. The table is that
            of a network built for this shape: dense layers are derived again.

    Raises:
        UserError: no table, or a layer that cannot take what it would get; the message
            names it.
    """
    if not getattr(model, "table", ()):
        raise UserError(f"{type(model).__name__} has no table of named layers")
    shape = tuple(model.input_shape if input_shape is None else input_shape)
    size = "x".join(map(str, shape))
    if len(shape) != 3 or not all(isinstance(n, int) and n >= 1 for n in shape):
        raise UserError(
            f"input {size}: height, width and channels are needed, whole numbers from 1 on"
        )
    try:
        check_names(model.table)
        return tuple(_rows(model, shape))
    except (ValueError, TypeError) as error:
        raise UserError(f"{type(model).__name__} for {size}: {error}") from None


class _Traced(NamedTuple):
    """What one row makes of an input shape."""

    jaxpr: Any
    variables: int  # arrays that come before the images
    output_shape: tuple[int, ...]
    parameters: int
    macs: int


def _rows(model: Any, shape: tuple[int, ...]) -> list[LayerRow]:
    known: dict[str, _Traced] = {}
    rows: list[LayerRow] = []
    fields: Fields = (Place(1, pixels(shape[0])), Place(2, pixels(shape[1])))
    above = shape
    for place, row in enumerate(model.table):
        if len(shape) != 3 and len(above) == 3:
            # From here on, the input is no image: a row alone would be given one.
            trace_output(model.clone(table=model.table[place - 1 :], input_shape=above))
        added = max(0, 3 - len(shape))  # maps on a group have an axis more
        image: Any = (1,) * added + shape
        # The name of a row changes nothing but the names of its parameters.
        key = repr((dataclasses.replace(row, name="aux" * _is_head(row)), image))
        if key not in known:
            known[key] = _trace(model, row, image)
        traced = known[key]
        seen: list[Seen] = [None] * traced.variables
        seen.append(_shifted(fields, added))
        (result,) = follow(traced.jaxpr, seen)
        assert result is not None
        if not _is_head(row):
            above, shape, fields = shape, traced.output_shape, result
        if not _is_head(row) or traced.parameters:
            rows.append(_layer_row(row, traced, result))
    return rows


def _shifted(fields: Fields, added: int) -> Fields:
    rows, columns = (
        place if place.axis is None else place._replace(axis=place.axis + added)
        for place in fields
    )
    return rows, columns


def _is_head(row: Any) -> bool:
    return is_auxiliary(row.name)


def _layer_row(row: Any, traced: _Traced, fields: Fields) -> LayerRow:
    rows, columns = fields
    stride = None
    if rows.axis is not None and columns.axis is not None:
        stride = (rows.extent.stride, columns.extent.stride)
    return LayerRow(
        name=row.name,
        kind=type(row).__name__,
        output_shape=traced.output_shape,
        parameters=traced.parameters,
        macs=traced.macs,
        receptive_field=(rows.extent.size, columns.extent.size),
        effective_stride=stride,
        activation_memory=FLOAT32 * math.prod(traced.output_shape),
        auxiliary=_is_head(row),
    )


def _trace(model: Any, row: Any, shape: ImageShape) -> _Traced:
    single = model.clone(table=(row,), input_shape=shape)
    variables = trace_variables(single)
    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)

    def forward(variables: Any, images: jax.Array) -> Any:
        if not _is_head(row):
            return single.apply(variables, images, train=False)
        # A head hands its input on; its scores are sown, in training only.
        output, sown = single.apply(
            variables,
            images,
            train=True,
            rngs={"dropout": jax.random.key(0)},
            mutable=["aux_logits", "batch_stats"],
        )
        scores = jax.tree.leaves(sown.get("aux_logits", {}))
        return scores[0] if scores else output

    with counted_macs() as macs:
        jaxpr, output = jax.make_jaxpr(forward, return_shape=True)(variables, images)
    return _Traced(
        jaxpr=jaxpr,
        variables=len(jax.tree.leaves(variables)),
        output_shape=tuple(output.shape[1:]),
        parameters=sum(
            math.prod(leaf.shape) for leaf in jax.tree.leaves(variables.get("params", {}))
        ),
        macs=sum(macs.values()),
    )
