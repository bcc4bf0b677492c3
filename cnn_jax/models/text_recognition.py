"""The three networks that read words in natural scenes.

Source:
    Jaderberg, Simonyan, Vedaldi and Zisserman. Synthetic Data and Artificial Neural
    Networks for Natural Scene Text Recognition. NIPS Deep Learning Workshop 2014, arXiv
    1406.2227. Section 3: one base network, three outputs. Section 3.1, DICT: one class a
    word of a dictionary of 90,000 words. Section 3.2, CHAR: 23 places, at each of them ten
    digits, 26 letters or no character. Section 3.3, NGRAM: which of 10,000 strings of one
    to four characters occur in the word. Dropout of 0.5 behind both dense layers.

Departures:
    The paper prints four convolutional layers; the released networks, and so these, have
    five (``conv3_5``), and the released dictionary has 88,172 words. Both, and the sizes,
    from a public port: github.com/mathDR/reading-text-in-the-wild,
    DICT2/TRAIN/build_model.py. There a column of zeros follows the 25 columns below the
    last pool; the same here, as windows may hang over the border. The outputs of
    ``text_char`` and ``text_ngram`` on that base are by arithmetic: no source prints their
    parameters, so no count is claimed. Initial weights are not printed; here He et al.
    2015, and biases of 0.
    In ``text_char`` ``num_classes`` counts what can stand at a place, "no character" last.
"""

import math
from functools import partial
from typing import Any, ClassVar

from cnn_jax.layers.initializers import he
from cnn_jax.layers.rows import (
    Classifier,
    Conv,
    Dense,
    Initializer,
    MaxPool,
    Table,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import Features, ImageShape, ModelSpec, Published, Task

PLACES = 23
"""The longest word of ``text_char``."""

# fmt: off
#            name    features kernel stride padding
TABLE: Table = (
    Conv(   "conv1",    64,    5,    1,     2),        # 32 x 100
    MaxPool("pool1",           2,    2),               # 16 x 50
    Conv(   "conv2",   128,    5,    1,     2),
    MaxPool("pool2",           2,    2),               #  8 x 25
    Conv(   "conv3",   256,    3,    1,     1),
    Conv(   "conv3_5", 512,    3,    1,     1),
    MaxPool("pool3",           2,    2, ceil=True),    #  4 x 13
    Conv(   "conv4",   512,    3,    1,     1),
    Dense(  "fc1",    4096, dropout=0.5),              # 26,624 -> 4096
    Dense(  "fc2",    4096, dropout=0.5),
    Classifier("out"),
)
# fmt: on


class TextDictionary(TableNetwork):
    """The base network with one class a word.

    Attributes:
        num_classes: words; N-grams; what can stand at a place.
        input_shape: height, width, channels of the images it is built for.
        table: the rows, the classifier last.
        initializer: of every kernel.
    """

    num_classes: int = 88_172
    input_shape: ImageShape = (32, 100, 1)
    table: Table = TABLE
    initializer: Initializer = he

    task: ClassVar[Task] = "classify"
    output_axes: ClassVar[tuple[int, ...]] = ()

    @property
    def outputs(self) -> int:
        """Scores of all places together."""
        return math.prod(self.output_axes) * self.num_classes

    def apply_row(self, row: Any, x: Features, *, train: bool) -> Features:
        """Apply a row; the classifier's scores are taken apart by place."""
        x = super().apply_row(row, x, train=train)
        if isinstance(row, Classifier):
            x = x.reshape(x.shape[0], *self.output_axes, -1)
        return x


class TextNgrams(TextDictionary):
    """The base network with one independent output an N-gram."""

    num_classes: int = 10_000

    task: ClassVar[Task] = "multi_label"


class TextCharacters(TextDictionary):
    """The base network with a classifier at each place of the word."""

    num_classes: int = 37

    task: ClassVar[Task] = "sequence"
    output_axes: ClassVar[tuple[int, ...]] = (PLACES,)


_paper = partial(
    ModelSpec,
    input_shape=(32, 100, 1),
    paper="Jaderberg et al.",
    year=2014,
    source="Synthetic Data and Artificial Neural Networks for Natural Scene Text "
    "Recognition, NIPS Deep Learning Workshop 2014",
)

MODELS = {
    "text_dict90k": _paper(
        build=TextDictionary,
        num_classes=88_172,
        parameters=491_119_724,
        macs=1_073_537_024,
        published=(
            Published(
                top1=9.2,
                protocol="ICDAR 2013 words, DICT+2, 90k dictionary",
                source="Jaderberg et al. 2014, results",
            ),
        ),
    ),
    "text_char": _paper(
        build=TextCharacters,
        num_classes=37,
        output_shape=(PLACES, 37),
        task="sequence",
        parameters=None,
        macs=None,
        published=(
            Published(
                top1=20.5,
                protocol="ICDAR 2013 words, CHAR+2, no dictionary",
                source="Jaderberg et al. 2014, results",
            ),
        ),
    ),
    "text_ngram": _paper(
        build=TextNgrams,
        num_classes=10_000,
        task="multi_label",
        parameters=None,
        macs=None,
    ),
}
