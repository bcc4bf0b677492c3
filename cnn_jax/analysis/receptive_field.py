"""Receptive fields, followed through a traced computation, operation by operation.

Nothing is declared about a layer: the operations that JAX recorded say what a unit sees.
An operation that is not known here is refused, so a field is exact or there is none.
A field is over all channels, and says what a unit may see: weights of 0 see less.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

from jax.extend.core import Literal

from cnn_jax.maths.receptive_field import Extent, gather, slide, union


class Place(NamedTuple):
    """What an array sees of one axis of the image.

    Attributes:
        axis: of the array, whose units lie side by side in the image; None if there is
            none, e.g. behind a dense layer.
        extent: what they see.
    """

    axis: int | None
    extent: Extent


Fields = tuple[Place, Place]
"""What an array sees of the image's rows and of its columns."""

Seen = Fields | None
"""None: the array does not depend on the image."""

# fmt: off
ELEMENTWISE = frozenset((
    "abs", "add", "and", "ceil", "clamp", "convert_element_type", "copy", "copy_p",
    "cos", "div", "eq", "erf", "exp", "exp2", "expm1", "floor", "ge", "gt",
    "integer_pow", "is_finite", "le", "log", "log1p", "logistic", "lt", "max", "min",
    "mul", "name", "ne", "neg", "not", "optimization_barrier", "or", "pow",
    "reduce_precision", "rem", "round", "rsqrt", "select_n", "sign", "sin", "sqrt",
    "square", "stop_gradient", "sub", "tanh", "xor",
))
# fmt: on
"""Operations whose outputs depend on the inputs at the same place alone."""


def follow(jaxpr: Any, inputs: Sequence[Seen]) -> list[Seen]:
    """Return what each output of a traced computation sees.

    Args:
        jaxpr: as ``jax.make_jaxpr`` returns it.
        inputs: what each of its flattened arguments sees.

    Raises:
        NotImplementedError: an operation on the image that is not known here.
    """
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    seen: dict[Any, Seen] = dict(zip(jaxpr.invars, inputs, strict=True))

    def read(variable: Any) -> Seen:
        return None if isinstance(variable, Literal) else seen.get(variable)

    for equation in jaxpr.eqns:
        operands = [read(variable) for variable in equation.invars]
        if any(operand is not None for operand in operands):
            results = _apply(equation, operands)
            seen.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _apply(equation: Any, operands: list[Seen]) -> list[Seen]:
    name = equation.primitive.name
    for inner in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if inner in equation.params and name != "scan":
            return follow(equation.params[inner], operands)
    rule = _stay if name in ELEMENTWISE else RULES.get(name)
    if rule is None:
        raise NotImplementedError(f"no rule for what {name!r} sees of the image")
    results: list[Seen] = []
    for output in range(len(equation.outvars)):
        moved = [
            tuple(
                place if place.axis is None else rule(equation, place, operand, output)
                for place in fields
            )
            for operand, fields in enumerate(operands)
            if fields is not None
        ]
        rows, columns = zip(*moved, strict=True)
        results.append((reduce(_union, rows), reduce(_union, columns)))
    return results


def _union(one: Place, other: Place) -> Place:
    if None not in (one.axis, other.axis) and one.axis != other.axis:
        raise NotImplementedError(
            f"axes {one.axis} and {other.axis} of combined arrays are both in the image"
        )
    axis = other.axis if one.axis is None else one.axis
    return Place(axis, union(one.extent, other.extent))


def _everything(place: Place) -> Place:
    return Place(None, gather(place.extent))


# A rule: (equation, what operand number i sees, i, number of the output) -> its share.
# What has no axis stays as it is, so rules are asked about places with one only.


def _axis(place: Place) -> int:
    assert place.axis is not None
    return place.axis


def _stay(_equation: Any, place: Place, _operand: int, _output: int) -> Place:
    return place


def _shape(equation: Any, operand: int = 0) -> tuple[int, ...]:
    return tuple(equation.invars[operand].aval.shape)


def _length(equation: Any, axis: int, output: int = 0) -> int:
    return int(equation.outvars[output].aval.shape[axis])


def _slice(equation: Any, place: Place, _operand: int, _output: int) -> Place:
    axis = _axis(place)
    step = (equation.params["strides"] or (1,) * (axis + 1))[axis]
    start = equation.params["start_indices"][axis]
    return Place(axis, slide(place.extent, start, step, _length(equation, axis)))


def _pad(equation: Any, place: Place, operand: int, _output: int) -> Place:
    axis = _axis(place)
    if operand:  # the value that is filled in
        return _everything(place)
    before, _, between = equation.params["padding_config"][axis]
    if between:
        raise NotImplementedError("padding between the units of a map")
    count = _length(equation, axis)
    return Place(axis, slide(place.extent, -int(before), 1, count))


def _split(equation: Any, place: Place, _operand: int, output: int) -> Place:
    axis = _axis(place)
    if axis != equation.params["axis"]:
        return place
    sizes = equation.params["sizes"]
    return Place(axis, slide(place.extent, sum(sizes[:output]), 1, sizes[output]))


def _concatenate(equation: Any, place: Place, _operand: int, _output: int) -> Place:
    if place.axis == equation.params["dimension"]:
        raise NotImplementedError("maps that are concatenated along an axis of the image")
    return place


def _stack(equation: Any, place: Place, _operand: int, _output: int) -> Place:
    axis = _axis(place)
    return place._replace(axis=axis + (axis >= equation.params["axis"]))


def _reduce(equation: Any, place: Place, _operand: int, _output: int) -> Place:
    axis = _axis(place)
    axes = equation.params["axes"]
    if axis in axes:
        return _everything(place)
    return place._replace(axis=axis - sum(other < axis for other in axes))


def _squeeze(equation: Any, place: Place, _operand: int, _output: int) -> Place:
    axis = _axis(place)
    gone = equation.params["dimensions"]
    if axis in gone:
        return _everything(place)
    return place._replace(axis=axis - sum(other < axis for other in gone))


def _transpose(equation: Any, place: Place, _operand: int, _output: int) -> Place:
    axis = _axis(place)
    return place._replace(axis=equation.params["permutation"].index(axis))


def _broadcast(equation: Any, place: Place, _operand: int, _output: int) -> Place:
    axis = _axis(place)
    axis = equation.params["broadcast_dimensions"][axis]
    if _length(equation, axis) != len(place.extent.first):
        return _everything(place)  # one unit, copied to every place
    return place._replace(axis=axis)


def _reshape(equation: Any, place: Place, _operand: int, _output: int) -> Place:
    axis = _axis(place)
    old, new = _shape(equation), equation.outvars[0].aval.shape
    before, length = math.prod(old[:axis]), old[axis]
    kept = [
        axis
        for axis in range(1, len(new))  # axis 0 is the batch
        if new[axis] == length and math.prod(new[:axis]) == before
    ]
    if not kept:
        return _everything(place)
    # An axis of length 1 can be found more than once; where it was is the natural one.
    return place._replace(axis=axis if axis in kept else kept[0])


def _transform(_equation: Any, place: Place, _operand: int, _output: int) -> Place:
    return _everything(place)  # a Fourier transform, of both axes of an image


def _loop(_equation: Any, _place: Place, _operand: int, _output: int) -> Place:
    raise NotImplementedError("a loop in which units have a place in the image")


def _convolution(equation: Any, place: Place, operand: int, _output: int) -> Place:
    params, axis = equation.params, _axis(place)
    if operand:  # an image as kernel
        return _everything(place)
    image, kernel, result = params["dimension_numbers"]
    if axis == image[0]:
        return place._replace(axis=result[0])
    if axis == image[1]:
        return _everything(place)
    k = image[2:].index(axis)
    if params["lhs_dilation"][k] != 1:
        raise NotImplementedError("a transposed convolution")
    return Place(
        result[2 + k],
        slide(
            place.extent,
            start=-int(params["padding"][k][0]),
            step=params["window_strides"][k],
            count=_length(equation, result[2 + k]),
            taps=_shape(equation, 1)[kernel[2 + k]],
            dilation=params["rhs_dilation"][k],
        ),
    )


def _window(equation: Any, place: Place, _operand: int, _output: int) -> Place:
    params, axis = equation.params, _axis(place)
    if params["base_dilation"][axis] != 1:
        raise NotImplementedError("a window over a dilated map")
    return Place(
        axis,
        slide(
            place.extent,
            start=-int(params["padding"][axis][0]),
            step=params["window_strides"][axis],
            count=_length(equation, axis),
            taps=params["window_dimensions"][axis],
            dilation=params["window_dilation"][axis],
        ),
    )


def _dot(equation: Any, place: Place, operand: int, _output: int) -> Place:
    axis = _axis(place)
    contracted, batch = equation.params["dimension_numbers"]
    if axis in contracted[operand]:
        return _everything(place)
    if axis in batch[operand]:
        return place._replace(axis=batch[operand].index(axis))
    bound = (*contracted[operand], *batch[operand])
    axis = axis - sum(other < axis for other in bound) + len(batch[0])
    if operand:  # the free axes of the first operand come before those of the second
        axis += len(_shape(equation)) - len(contracted[0]) - len(batch[0])
    return place._replace(axis=axis)


RULES: dict[str, Callable[[Any, Place, int, int], Place]] = {
    "slice": _slice,
    "pad": _pad,
    "split": _split,
    "concatenate": _concatenate,
    "stack": _stack,
    "squeeze": _squeeze,
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "conv_general_dilated": _convolution,
    "dot_general": _dot,
    "fft": _transform,
    "scan": _loop,
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"), _reduce),
    **dict.fromkeys(
        ("reduce_window_sum", "reduce_window_max", "reduce_window_min"), _window
    ),
}
