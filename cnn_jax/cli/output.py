"""Tables for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Any


def print_json(value: Any) -> None:
    """Write ``value`` as JSON to standard output."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def print_line(line: str) -> None:
    """Write one line to standard output, never folded."""
    sys.stdout.write(line + "\n")


def print_note(line: str) -> None:
    """Write one line to standard error, beside the progress display."""
    sys.stderr.write(line + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a table to standard output; numbers are set to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = any(isinstance(row[i], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    print_renderable(table)


def print_renderable(renderable: Any) -> None:
    """Write something of rich's to standard output; 120 columns where it is no terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 120
    Console(file=sys.stdout, width=width, highlight=False).print(renderable)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
