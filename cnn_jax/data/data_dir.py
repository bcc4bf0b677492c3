"""The first look at what a user gave as ``--data-dir``."""

from pathlib import Path

from cnn_jax.errors import UserError


def check_data_dir(
    data_dir: Path | None, dataset: str, expected: str, *, file: bool = False
) -> Path:
    """Return a directory that is there and holds something.

    Args:
        data_dir: what the user gave.
        dataset: name of the dataset, for messages.
        expected: what it should be, for messages: ``"expected a directory with ..."``.
        file: whether it may be a file as well.

    Raises:
        UserError: it was not given, or is not so.
    """
    if data_dir is None:
        raise UserError(f"{dataset} needs --data-dir; {expected}")
    if not data_dir.exists():
        raise UserError(f"--data-dir {data_dir} does not exist; {expected}")
    if file and data_dir.is_file():
        return data_dir
    if not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir} is not a directory; {expected}")
    try:
        empty = not any(data_dir.iterdir())
    except OSError as error:
        raise UserError(f"--data-dir {data_dir} can't be read: {error.strerror}") from None
    if empty:
        raise UserError(f"--data-dir {data_dir} is empty; {expected}")
    return data_dir
