"""Parse the command line, run the command, turn mistakes into one line.

Exit codes: 0 done, 1 a bug (with its traceback), 2 a user's mistake, 75 stopped and saved
(the same command goes on), 130 interrupted by Ctrl-C.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro
from tyro.conf import subcommand

from cnn_jax.cli.compare import Compare
from cnn_jax.cli.data import Data
from cnn_jax.cli.evaluate import Evaluate
from cnn_jax.cli.experiments import Experiments
from cnn_jax.cli.export import Export
from cnn_jax.cli.import_weights import ImportWeights
from cnn_jax.cli.invariance import Invariance
from cnn_jax.cli.models import Models
from cnn_jax.cli.predict import Predict
from cnn_jax.cli.scan import Scan
from cnn_jax.cli.study import Study
from cnn_jax.cli.table import Table
from cnn_jax.cli.train import Train
from cnn_jax.errors import UserError
from cnn_jax.registry import unknown
from cnn_jax.training.interruption import Interrupted

Command = (
    Annotated[Models, subcommand("models")]
    | Annotated[Table, subcommand("table")]
    | Annotated[Experiments, subcommand("experiments")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Study, subcommand("study")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Compare, subcommand("compare")]
    | Annotated[Predict, subcommand("predict")]
    | Annotated[Scan, subcommand("scan")]
    | Annotated[Invariance, subcommand("invariance")]
    | Annotated[Data, subcommand("data")]
    | Annotated[ImportWeights, subcommand("import-weights")]
    | Annotated[Export, subcommand("export")]
)

COMMANDS = (
    "models",
    "table",
    "experiments",
    "train",
    "study",
    "evaluate",
    "compare",
    "predict",
    "scan",
    "invariance",
    "data",
    "import-weights",
    "export",
)

_KINDS = {"INT": "a whole number", "FLOAT": "a number"}

DESCRIPTION = """The classic convolutional networks as their papers print them.

Example: cnn-jax study alexnet_layer_removal
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        arguments: without the program's name; None for those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"] or ["--help"]
    # A pipe whose reader has left is no mistake; say nothing more into it.
    try:
        return _run(given)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on where it was")
        return 130
    except Interrupted as stopped:
        _say(str(stopped))
        return stopped.exit_code
    except UserError as error:
        if debug:
            raise
        _say(" ".join(str(error).split()))
        return 2


def _run(given: list[str]) -> int:
    if not given[0].startswith("-") and given[0] not in COMMANDS:
        raise unknown(given[0], COMMANDS, what="command")
    caught = io.StringIO()
    try:
        with contextlib.redirect_stderr(caught):
            command = tyro.cli(
                Command,
                prog="cnn-jax",
                description=DESCRIPTION,
                args=given,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if stop.code in (None, 0):
            return 0
        _say(_one_line(caught.getvalue()))
        return 2
    return command()


def _one_line(message: str) -> str:
    """Return the first message in a parser's box of output, as one line."""
    # The title is part of the border, or, where the output takes ASCII only, a block.
    blocks: list[list[str]] = [[]]
    for line in (line.strip("│ ") for line in message.splitlines()):
        if line and not set(line) <= set("─-") and line[0] not in "╭╰":
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    block = blocks[0 if message.lstrip().startswith("╭") else min(1, len(blocks) - 1)]
    text = (
        " ".join(block).replace("{None}|", "").replace("'None', ", "")
        or "the command line could not be read"
    )
    value = re.match(r"Error parsing (\S+): no type matching (\S+) .* \['(.*)'\]", text)
    if value:
        text = f"{value[1]} {value[3]}: not {_KINDS.get(value[2], value[2])}"
    return f"{text} (see cnn-jax --help)"


def _say(line: str) -> None:
    sys.stderr.write(f"cnn-jax: {line}\n")
