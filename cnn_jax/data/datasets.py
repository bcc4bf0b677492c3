"""The table of datasets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cnn_jax.data.dataset import Dataset
from cnn_jax.data.digits import open_digits
from cnn_jax.data.idx import open_mnist
from cnn_jax.data.image_folder import open_cifar10, open_image_folder
from cnn_jax.data.subsets import check_labels, subset
from cnn_jax.data.synthetic import open_synthetic
from cnn_jax.errors import UserError
from cnn_jax.registry import lookup

__all__ = [
    "DATASETS",
    "DatasetInfo",
    "check_labels",
    "list_datasets",
    "open_dataset",
    "subset",
]


def _refuse_imagenet2012(_: Path | None) -> Dataset:
    raise UserError(
        "imagenet2012 can't be opened: its reader is not part of this version;"
        " image-folder reads a tree train/<class>/*, test/<class>/* of images"
    )


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is known of a dataset before it is opened.

    Attributes:
        name: as on the command line.
        title: for people.
        channels: 1 for grey images, 3 for colour.
        num_classes: None where the files decide.
        image_size: (height, width) of the stored images; None where they may differ.
        needs_data_dir: whether ``--data-dir`` must be given; it is refused where it is
            not used.
        description: one line: what it is, and what it expects in ``--data-dir``.
        open: opens it from a data directory.
    """

    name: str
    title: str
    channels: int
    num_classes: int | None
    image_size: tuple[int, int] | None
    needs_data_dir: bool
    description: str
    open: Callable[[Path | None], Dataset]


DATASETS = {
    info.name: info
    for info in (
        DatasetInfo(
            name="digits",
            title="digits",
            channels=1,
            num_classes=10,
            image_size=(8, 8),
            needs_data_dir=False,
            description="1,797 real handwritten digits that come with scikit-learn",
            open=lambda _: open_digits(),
        ),
        DatasetInfo(
            name="mnist",
            title="MNIST",
            channels=1,
            num_classes=10,
            image_size=(28, 28),
            needs_data_dir=True,
            description="handwritten digits: a directory with the four IDX files,"
            " plain or .gz",
            open=open_mnist,
        ),
        DatasetInfo(
            name="cifar10",
            title="CIFAR-10",
            channels=3,
            num_classes=10,
            image_size=(32, 32),
            needs_data_dir=True,
            description="32x32 colour photographs: a tree train/<class>/*,"
            " test/<class>/*, or a .tar, .tar.gz, .tar.xz of it",
            open=open_cifar10,
        ),
        DatasetInfo(
            name="image-folder",
            title="image-folder",
            channels=3,
            num_classes=None,
            image_size=None,
            needs_data_dir=True,
            description="any images: a tree train/<class>/*, test/<class>/*,"
            " or a .tar, .tar.gz, .tar.xz of it",
            open=open_image_folder,
        ),
        DatasetInfo(
            name="imagenet2012",
            title="ImageNet 2012",
            channels=3,
            num_classes=1000,
            image_size=None,
            needs_data_dir=True,
            description="ILSVRC-2012: declared only; its reader is not part of this"
            " version",
            open=_refuse_imagenet2012,
        ),
        DatasetInfo(
            name="synthetic",
            title="synthetic",
            channels=1,
            num_classes=10,
            image_size=None,
            needs_data_dir=False,
            description="768 made-up images of ten classes, for tests",
            open=lambda _: open_synthetic(),
        ),
    )
}


def list_datasets() -> list[str]:
    """Return the names of all datasets, sorted; ``DATASETS`` describes them."""
    return sorted(DATASETS)


def open_dataset(name: str, data_dir: Path | None = None) -> Dataset:
    """Open a dataset by name; its images are decoded only when it is read.

    Args:
        name: one of ``list_datasets()``.
        data_dir: what the user gave as ``--data-dir``, or None.

    Raises:
        UserError: no such dataset (the message holds near names), a ``data_dir`` that it
            does not use, or files that are not what they should be.
    """
    info = lookup(DATASETS, name, what="dataset")
    if data_dir is not None and not info.needs_data_dir:
        raise UserError(
            f"{name} takes no --data-dir (got {data_dir}); those that do are"
            f" {', '.join(n for n in list_datasets() if DATASETS[n].needs_data_dir)}"
        )
    return info.open(data_dir)
