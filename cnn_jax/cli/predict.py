"""``cnn-jax predict``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from cnn_jax.cli.options import Count
from cnn_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from cnn_jax.cli.sources import Source
    from cnn_jax.evaluation.protocol import Protocol

TOP = 5

Network = Annotated[Positional[Path], arg(metavar="RUN_OR_WEIGHTS")]
Files = Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE ...")]
Model = Annotated[str | None, arg(metavar="SOURCE/ARCHITECTURE", help_behavior_hint="")]
Word = Annotated[str, arg(metavar="NAME")]


@dataclass(frozen=True)
class Predict:
    """Classify image files: names of classes and their probabilities.

    Example: cnn-jax predict runs/lenet5_mnist/mnist-seed0 three.png seven.jpg
    """

    network: Network
    """Directory of a run, or file of weights (with --model)."""
    images: Files
    """Of any format that Pillow reads and of any size, grey or colour."""
    model: Model = None
    """What a file of weights holds, e.g. torchvision/vgg16."""
    protocol: Word = "one-crop"
    """one-crop, ten-crop, fifty-crop, crops-144, multi-scale or dense."""
    top: Count = None
    """How many classes; the 5 most probable, or all if there are fewer."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Write the predictions; 2 if an image could not be read, as the others say."""
        from cnn_jax.cli.images import called, choose_protocol
        from cnn_jax.cli.output import print_json, print_note, print_table
        from cnn_jax.cli.sources import load_source

        if not self.images:
            raise UserError("predict needs one image file or more")
        source = load_source(self.network, self.model)
        rules, size = choose_protocol(self.protocol, source, source.weights)
        top = self._top(source.network.model.num_classes)
        classify = _classifier(source, rules, size)
        names = source.classes
        answers: list[dict[str, Any]] = []
        for path in self.images:
            try:
                probabilities = classify(path)
            except UserError as error:
                print_note(f"cnn-jax: {error}")
                answers.append({"image": str(path), "error": str(error)})
                continue
            best = (-probabilities).argsort(kind="stable")[:top]
            answers.append(
                {
                    "image": str(path),
                    "predictions": [
                        {
                            "class": int(i),
                            "name": None if names is None else names[i],
                            "probability": float(probabilities[i]),
                        }
                        for i in best
                    ],
                }
            )
        if self.json:
            about = {"network": source.label, "protocol": self.protocol}
            print_json({**about, "images": answers})
        else:
            rows = [
                (
                    answer["image"] if place == 0 else "",
                    called(names, guess["class"]),
                    f"{guess['probability']:.4f}",
                )
                for answer in answers
                for place, guess in enumerate(answer.get("predictions", ()))
            ]
            if rows:
                kind = "class" if names is not None else "class number"
                print_table(("image", kind, "probability"), rows)
        return 2 if any("error" in answer for answer in answers) else 0

    def _top(self, classes: int) -> int:
        if self.top is None:
            return min(TOP, classes)
        if not 1 <= self.top <= classes:
            raise UserError(f"--top {self.top}: the network has 1 to {classes} classes")
        return self.top


def _classifier(
    source: "Source", rules: "Protocol", size: tuple[int, int] | None
) -> Callable[[Path], "np.ndarray"]:
    """Return path -> probabilities, float32 [classes]; images of one shape compile once."""
    import numpy as np

    from cnn_jax.cli.images import read_image
    from cnn_jax.evaluation.scoring import compile_scoring

    network = source.network
    channels = network.model.input_shape[2]
    score = compile_scoring(network, rules, None)

    def classify(path: Path) -> np.ndarray:
        image = read_image(path, channels, size)
        found = score(tuple(scale[None] for scale in rules.resize(network, image)))
        probabilities = np.exp(np.asarray(found[0]))
        if not np.isfinite(probabilities).all():
            raise UserError(f"{path}: the scores of {source.label} are not finite numbers")
        return probabilities

    return classify
