"""``cnn-jax scan``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from cnn_jax.cli.options import Count, Names
from cnn_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from cnn_jax.evaluation.scan import ClassMap

Network = Annotated[Positional[Path], arg(metavar="RUN_OR_WEIGHTS")]
File = Annotated[Positional[Path], arg(metavar="IMAGE")]
Model = Annotated[str | None, arg(metavar="SOURCE/ARCHITECTURE", help_behavior_hint="")]
Picture = Annotated[Path | None, arg(metavar="FILE.png", help_behavior_hint="")]


@dataclass(frozen=True)
class Scan:
    """Slide a network over an image: the class of every window, drawn on the image.

    Each position is what the network says of that window by itself. Nothing is resized.

    Example: cnn-jax scan runs/lenet5_mnist/mnist-seed0 page.png --classes 3,8
    """

    network: Network
    """Directory of a run, or file of weights (with --model)."""
    image: File
    """Any format that Pillow reads; at least as large as the network's input."""
    model: Model = None
    """What a file of weights holds, e.g. torchvision/vgg16."""
    classes: Names = None
    """Whose probability to draw; by default that of the most certain window."""
    step: Count = None
    """Pixels between neighbouring windows; the network's stride by default."""
    out: Picture = None
    """The figure; IMAGE-scan.png here by default. The map is beside it, as .npz."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Scan, write figure and map, and say where each class is."""
        import numpy as np

        from cnn_jax.cli.images import read_image
        from cnn_jax.cli.output import print_json, print_line, print_table
        from cnn_jax.cli.sources import load_source
        from cnn_jax.evaluation.scan import scan

        figure, arrays = self._places()
        source = load_source(self.network, self.model)
        *_, channels = source.network.model.input_shape
        image = read_image(self.image, channels)
        known = source.classes
        count = source.network.model.num_classes
        names = known or tuple(f"class {i}" for i in range(count))
        asked = None if self.classes is None else _chosen(self.classes, known, count)
        try:
            found = scan(source.network, image, step=self.step)
        except UserError as error:
            raise UserError(f"{self.image}: {error}") from None
        if not np.isfinite(found.log_probabilities.max(axis=-1)).all():
            raise UserError(
                f"{self.image}: scores of {source.label} are not finite numbers"
            )
        if asked is None:
            best = int(found.log_probabilities.max(axis=(0, 1)).argmax())
            asked = [best]
        _write(figure, arrays, image, found, names, asked)
        told = [_told(found, names, index) for index in _winners_and(found, asked)]
        if self.json:
            print_json(
                {
                    "network": source.label,
                    "image": str(self.image),
                    "window": list(found.window),
                    "step": found.step,
                    "rows": len(found.tops),
                    "columns": len(found.lefts),
                    "means": found.means,
                    "classes": told,
                    "figure": str(figure),
                    "map": str(arrays),
                }
            )
            return 0
        places = f"{len(found.tops)} x {len(found.lefts)} places (rows x columns)"
        print_line(f"{self.image}: {places}, step {found.step}, by {found.means}")
        print_table(
            ("class", "places won", "highest probability", "at row", "at column"),
            [
                (one["name"], one["won"], f"{one['highest']:.4f}", one["top"], one["left"])
                for one in told
            ],
        )
        print_line(f"written: {figure}, {arrays}")
        return 0

    def _places(self) -> tuple[Path, Path]:
        """Return where the figure and the map go; refused before anything is computed."""
        figure = self.out or Path(f"{self.image.stem}-scan.png")
        if figure.suffix.lower() != ".png":
            raise UserError(f"--out {figure}: the figure is a PNG file, so a name in .png")
        if not figure.parent.is_dir():
            raise UserError(f"--out {figure}: there is no directory {figure.parent}")
        if figure.resolve() == self.image.resolve():
            raise UserError(f"--out {figure}: that is the image itself")
        return figure, figure.with_suffix(".npz")


def _chosen(text: str, names: tuple[str, ...] | None, count: int) -> list[int]:
    """Return the classes of ``--classes A,B``: names, or numbers where there are none."""
    from cnn_jax.registry import unknown

    known = names or tuple(str(index) for index in range(count))
    chosen = []
    for name in text.split(","):
        if name.strip() not in known:
            if names is None:
                raise UserError(f"--classes {name}: not a class from 0 to {count - 1}")
            raise unknown(name.strip(), known, what="class")
        chosen.append(known.index(name.strip()))
    return list(dict.fromkeys(chosen))


def _winners_and(found: "ClassMap", asked: Sequence[int]) -> list[int]:
    """Return the classes that won a place, most places first, and those asked for."""
    import numpy as np

    won = np.bincount(found.log_probabilities.argmax(axis=-1).ravel())
    winners = [int(i) for i in np.argsort(-won, kind="stable") if won[i]]
    return list(dict.fromkeys([*winners, *asked]))


def _told(found: "ClassMap", names: Sequence[str], index: int) -> dict[str, Any]:
    """Return what is said of a class: how often it won, and its most certain window."""
    import numpy as np

    of_class = found.log_probabilities[..., index]
    row, column = np.unravel_index(int(of_class.argmax()), of_class.shape)
    return {
        "class": index,
        "name": names[index],
        "won": int((found.log_probabilities.argmax(axis=-1) == index).sum()),
        "highest": float(np.exp(of_class[row, column])),
        "top": int(found.tops[row]),
        "left": int(found.lefts[column]),
    }


def _write(
    figure: Path,
    arrays: Path,
    image: "np.ndarray",
    found: "ClassMap",
    names: Sequence[str],
    asked: Sequence[int],
) -> None:
    import numpy as np

    from cnn_jax.evaluation.scan_figure import scan_figure

    drawn = scan_figure(image, found, names, asked)
    try:
        figure.write_bytes(drawn)
        np.savez_compressed(arrays, **found._asdict(), names=np.array(names))
    except OSError as error:
        raise UserError(f"{figure} can't be written: {error.strerror}") from None
