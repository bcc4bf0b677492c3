"""The table of datasets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cnn_jax.data.cifar import open_cifar10, open_cifar100
from cnn_jax.data.dataset import Dataset
from cnn_jax.data.digits import open_digits
from cnn_jax.data.idx import open_fashion_mnist, open_mnist
from cnn_jax.data.image_folder import open_image_folder
from cnn_jax.data.imagenet import open_imagenet2012
from cnn_jax.data.rotated_mnist import open_rotated_mnist
from cnn_jax.data.subsets import check_labels, subset
from cnn_jax.data.svhn import open_svhn_cropped
from cnn_jax.data.synthetic import open_synthetic
from cnn_jax.data.tfds_dataset import open_tfds, tfds_title
from cnn_jax.data.tfds_names import is_tfds
from cnn_jax.data.width_normalized import WIDTHS, opener
from cnn_jax.errors import UserError
from cnn_jax.registry import lookup

__all__ = [
    "DATASETS",
    "DatasetInfo",
    "check_labels",
    "describe_dataset",
    "list_datasets",
    "open_dataset",
    "subset",
]


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is known of a dataset before it is opened.

    Attributes:
        name: as on the command line.
        title: for people.
        channels: 1 for grey images, 3 for colour; None where the files decide.
        num_classes: None where the files decide.
        image_size: (height, width) of the stored images; None where they may differ.
        needs_data_dir: whether ``--data-dir`` must be given; it is refused where it is
            not used.
        description: one line: what it is, and what it expects in ``--data-dir``.
        open: opens it from a data directory.
    """

    name: str
    title: str
    channels: int | None
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
            name="fashion_mnist",
            title="Fashion-MNIST",
            channels=1,
            num_classes=10,
            image_size=(28, 28),
            needs_data_dir=True,
            description="articles of clothing: a directory with the four IDX files,"
            " plain or .gz",
            open=open_fashion_mnist,
        ),
        *(
            DatasetInfo(
                name=f"mnist_width{width}",
                title=f"MNIST, digits {width} pixels wide",
                channels=1,
                num_classes=10,
                image_size=(28, 28),
                needs_data_dir=True,
                description="mnist with all digits of one width: a column of an MCDNN",
                open=opener(width),
            )
            for width in WIDTHS
        ),
        DatasetInfo(
            name="rotated_mnist",
            title="rotated MNIST",
            channels=1,
            num_classes=10,
            image_size=(28, 28),
            needs_data_dir=True,
            description="digits of mnist at random angles, 12,000 and 50,000: the"
            " directory of mnist",
            open=open_rotated_mnist,
        ),
        DatasetInfo(
            name="cifar10",
            title="CIFAR-10",
            channels=3,
            num_classes=10,
            image_size=(32, 32),
            needs_data_dir=True,
            description="32x32 colour photographs: the binary files or Python batches,"
            " in a folder or as the .tar.gz; or a tree train/<class>/*, test/<class>/*,"
            " or a .tar, .tar.gz, .tar.xz of it",
            open=open_cifar10,
        ),
        DatasetInfo(
            name="cifar100",
            title="CIFAR-100",
            channels=3,
            num_classes=100,
            image_size=(32, 32),
            needs_data_dir=True,
            description="32x32 colour photographs, 100 fine classes: the binary files or"
            " Python batches, in a folder or as the .tar.gz",
            open=open_cifar100,
        ),
        DatasetInfo(
            name="svhn_cropped",
            title="SVHN (cropped)",
            channels=3,
            num_classes=10,
            image_size=(32, 32),
            needs_data_dir=True,
            description="32x32 digits of house numbers: a directory with"
            " train_32x32.mat and test_32x32.mat",
            open=open_svhn_cropped,
        ),
        DatasetInfo(
            name="image-folder",
            title="image-folder",
            channels=3,
            num_classes=None,
            image_size=None,
            needs_data_dir=True,
            description="any images: a tree train/<class>/*, test/<class>/* (and, or"
            " instead of test, validation/<class>/*), or a .tar, .tar.gz, .tar.xz of it",
            open=open_image_folder,
        ),
        DatasetInfo(
            name="imagenet2012",
            title="ImageNet 2012",
            channels=3,
            num_classes=1000,
            image_size=None,
            needs_data_dir=True,
            description="ILSVRC-2012: a directory with ILSVRC2012_img_train.tar and"
            " ILSVRC2012_img_val.tar, or the tree train/<WordNet id>/*,"
            " val/<WordNet id>/*",
            open=open_imagenet2012,
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


def describe_dataset(name: str) -> DatasetInfo:
    """Return what is known of a dataset before it is opened.

    Args:
        name: one of ``list_datasets()``, or ``tfds:NAME``, of which little is known.

    Raises:
        UserError: no such dataset, or no such name.
    """
    if not is_tfds(name):
        return lookup(DATASETS, name, what="dataset")
    return DatasetInfo(
        name=name,
        title=tfds_title(name),
        channels=None,
        num_classes=None,
        image_size=None,
        needs_data_dir=False,
        description="prepared by cnn-jax data prepare or by TFDS, as ArrayRecord:"
        " the directory of TFDS (else TFDS_DATA_DIR or ~/tensorflow_datasets)",
        open=lambda data_dir: open_tfds(name, data_dir),
    )


def open_dataset(name: str, data_dir: Path | None = None) -> Dataset:
    """Open a dataset by name; its images are decoded only when it is read.

    Args:
        name: one of ``list_datasets()``, or ``tfds:NAME``: one that was prepared in the
            layout of TFDS (``tfds_dataset.open_tfds``).
        data_dir: what the user gave as ``--data-dir``, or None.

    Raises:
        UserError: no such dataset (the message holds near names), a ``data_dir`` that it
            does not use, or files that are not what they should be.
    """
    info = describe_dataset(name)
    if data_dir is not None and not (info.needs_data_dir or is_tfds(name)):
        raise UserError(
            f"{name} takes no --data-dir (got {data_dir}); those that do are"
            f" {', '.join(n for n in list_datasets() if DATASETS[n].needs_data_dir)}"
        )
    return info.open(data_dir)
