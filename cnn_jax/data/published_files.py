"""Where the original files of the datasets are published, and how to know them.

Source of all sizes and SHA-256: TensorFlow Datasets 4.9.10, ``url_checksums/*.txt`` and
``datasets/{svhn_cropped,imagenet2012}/checksums.tsv``.
"""

from typing import NamedTuple


class PublishedFile(NamedTuple):
    """One file: its name, its size in bytes, and the SHA-256 (hex) of its content."""

    name: str
    size: int
    sha256: str


class Published(NamedTuple):
    """The files of a dataset, which lie side by side.

    Attributes:
        base: address of the folder that holds them.
        files: all that the dataset's reader needs.
    """

    base: str
    files: tuple[PublishedFile, ...]


PUBLISHED = {
    "mnist": Published(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        (
            PublishedFile(
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            PublishedFile(
                "train-labels-idx1-ubyte.gz",
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            PublishedFile(
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            PublishedFile(
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    ),
    "fashion_mnist": Published(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        (
            PublishedFile(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            PublishedFile(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            PublishedFile(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            PublishedFile(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    ),
    "cifar10": Published(
        "https://www.cs.toronto.edu/~kriz/",
        (
            PublishedFile(
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
        ),
    ),
    "cifar100": Published(
        "https://www.cs.toronto.edu/~kriz/",
        (
            PublishedFile(
                "cifar-100-binary.tar.gz",
                168_513_733,
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            ),
        ),
    ),
    # extra_32x32.mat (1.3 GB) is left out: no split is read from it.
    "svhn_cropped": Published(
        "http://ufldl.stanford.edu/housenumbers/",
        (
            PublishedFile(
                "train_32x32.mat",
                182_040_794,
                "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
            ),
            PublishedFile(
                "test_32x32.mat",
                64_275_384,
                "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
            ),
        ),
    ),
}

IMAGENET = (
    PublishedFile(
        "ILSVRC2012_img_train.tar",
        147_897_477_120,
        "b08200a27a8e34218a0e58fde36b0fe8f73bc377f4acea2d91602057c3ca45bb",
    ),
    PublishedFile(
        "ILSVRC2012_img_val.tar",
        6_744_924_160,
        "c7e06a6c0baccf06d8dbeb6577d71efff84673a5dbdd50633ab44f8ea0456ae0",
    ),
)
"""ImageNet 2012, which is given to registered users only."""
