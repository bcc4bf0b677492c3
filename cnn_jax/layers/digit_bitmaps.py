"""The ten digits as 7 x 12 bitmaps: the codes that LeNet-5's output compares with.

Source:
    LeCun, Bottou, Bengio and Haffner. Gradient-Based Learning Applied to Document
    Recognition. Proceedings of the IEEE 86(11), 1998. Section II.B and Figure 3: the
    parameter vectors of the output are "a stylized image of the corresponding character
    class drawn on a 7 x 12 bitmap (hence the number 84)", of -1 and +1.

The drawings are ours, in the manner of that figure: strokes two pixels wide, and two empty
rows below for what descends.
"""

import numpy as np

WIDTH, HEIGHT = 7, 12

DRAWINGS = """
..###.. ...##.. .#####. .#####. ....##. ####### ..####. ####### .#####. .#####.
.##.##. ..###.. ##...## ##...## ...###. ##..... .##.... .....## ##...## ##...##
##...## .####.. .....## .....## ..####. ##..... ##..... .....## ##...## ##...##
##...## ...##.. .....## .....## .##.##. ######. ##..... ....##. ##...## ##...##
##...## ...##.. ....##. ..####. ##..##. ##...## ######. ....##. .#####. ##...##
##...## ...##.. ...##.. .....## ##..##. .....## ##...## ...##.. ##...## .######
##...## ...##.. ..##... .....## ####### .....## ##...## ...##.. ##...## .....##
##...## ...##.. .##.... .....## ....##. .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ....##. ##...## ##...## ..##... ##...## ....##.
..###.. .###### ####### .#####. ....##. .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
"""


def digit_bitmaps() -> np.ndarray:
    """Return the drawings of 0 ... 9, float32 [10, 12, 7]: +1 for ink, -1 for paper."""
    rows = [line.split() for line in DRAWINGS.split("\n") if line]
    drawn = [[[+1.0 if p == "#" else -1.0 for p in line] for line in row] for row in rows]
    return np.array(drawn, np.float32).swapaxes(0, 1)
