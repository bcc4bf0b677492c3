"""Shape-safe edits of a network's table: remove, replace, resize named layers.

An edit returns a new module; its shapes are derived again by tracing, and an edit that
does not give a network is refused with the layer and the reason.
"""

import dataclasses
from functools import lru_cache
from typing import Any, TypeVar

from cnn_jax.errors import UserError
from cnn_jax.layers.tracing import trace_output
from cnn_jax.registry import unknown

Model = TypeVar("Model")


def without(model: Model, *names: str) -> Model:
    """Return ``model`` with the named rows of its table removed.

    Args:
        model: a module with a ``table`` of named rows.
        *names: layer names, e.g. ``"conv3"``.

    Raises:
        UserError: an unknown name (with near ones), the classifier, or a removal after
            which a later layer cannot take its input.
    """
    table = _table(model)
    for name in names:
        _check_exists(model, name)
        if name == table[-1].name:
            raise UserError(f"{name} is the classifier: without it there is no output")
    rows = tuple(row for row in table if row.name not in names)
    return _with_table(model, rows, f"without {', '.join(names) or 'nothing'}")


def replace(model: Model, **rows: Any) -> Model:
    """Return ``model`` with the named rows of its table replaced by other rows.

    Args:
        model: a module with a ``table`` of named rows.
        **rows: the new row under the name of the old one, e.g.
            ``conv3=Conv("conv3", 512, 3, padding=1)``.

    Raises:
        UserError: an unknown name, rows that do not fit one another, or a classifier
            replaced by a layer of another kind.
    """
    for name in rows:
        _check_exists(model, name)
    last = _table(model)[-1]
    if not isinstance(rows.get(last.name, last), type(last)):
        raise UserError(
            f"{last.name} is the classifier: it can be replaced by another "
            f"{type(last).__name__} only, not by {rows[last.name]!r}"
        )
    table = tuple(rows.get(row.name, row) for row in _table(model))
    return _with_table(model, table, f"with {', '.join(rows)} replaced")


def resize(model: Model, **features: int) -> Model:
    """Return ``model`` with other numbers of features in the named rows.

    Args:
        model: a module with a ``table`` of named rows.
        **features: the new width under the name of the row, e.g. ``fc6=2048``.

    Raises:
        UserError: an unknown name, a row without features, a width below 1, or one that
            a later layer cannot take.
    """
    by_name = {row.name: row for row in _table(model)}
    rows = {}
    for name, width in features.items():
        _check_exists(model, name)
        fields = [f.name for f in dataclasses.fields(by_name[name])]
        if "features" not in fields:
            raise UserError(f"{name} has no features to resize, only {fields}")
        if width < 1:
            raise UserError(f"{name}: {width} features; at least 1 is needed")
        rows[name] = dataclasses.replace(by_name[name], features=width)
    return replace(model, **rows)


def _table(model: Any) -> tuple[Any, ...]:
    if not getattr(model, "table", ()):
        raise UserError(f"{type(model).__name__} has no table of named layers to edit")
    return model.table


def _check_exists(model: Any, name: str) -> None:
    names = [row.name for row in _table(model)]
    if name not in names:
        raise unknown(name, names, what=f"layer of {type(model).__name__}")


def _with_table(model: Any, table: tuple[Any, ...], edit: str) -> Any:
    edited = model.clone(table=table)
    try:
        shape = trace_output(edited)
    except (ValueError, TypeError) as error:
        raise UserError(f"{type(model).__name__} {edit}: {error}") from None
    expected = _output_of(model)
    if shape != expected:
        raise UserError(
            f"{type(model).__name__} {edit}: the output would be {shape[1:]}, "
            f"not {expected[1:]}"
        )
    return edited


# Many edits of one network, as a study makes them, trace the network itself once.
_output_of = lru_cache(maxsize=32)(trace_output)
