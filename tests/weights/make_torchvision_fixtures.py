"""Write ``torchvision_fixtures.json`` and ``torchvision_keys.json``: what torchvision says.

    python tests/weights/make_torchvision_fixtures.py

needs torch, torchvision (0.28 wrote the files that are here) and NumPy, in an environment
of its own; the tests need the files alone. Weights, images and labels are those of
``seeded.py``. A network called ``NAME/8`` is torchvision's own code with an eighth of each
width. Images have the size that the network is printed for; dropout is 0.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from torch import nn
from torchvision import models
from torchvision.models.resnet import Bottleneck, ResNet

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from seeded import digest, seeded_images, seeded_labels, seeded_weights  # noqa: E402

WIDTHS = 8
NARROW_CLASSES = 10
NETWORKS = [
    "alexnet",
    *(f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")),
    "googlenet",
    "inception_v3",
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
]
NARROW = ["alexnet", "vgg11_bn", "googlenet", "inception_v3", "resnet14"]
# Gradients are taken in float64: in float32 torchvision's own are off by 0.4 % (alexnet's
# conv1) and by 3 % (googlenet, inception_v3, through many normalisations of four images).
GRADIENTS = {"alexnet", "vgg11", "resnet18", *(f"{name}/8" for name in NARROW)}


def build(name, **fields):
    """Return torchvision's network; ``resnet14`` has one bottleneck a stage."""
    if name == "resnet14":
        return ResNet(Bottleneck, [1, 1, 1, 1], **fields)
    if name.startswith(("vgg", "googlenet", "inception")):
        fields["init_weights"] = False
    return getattr(models, name)(weights=None, **fields)


def narrow(module):
    """Divide all widths but those of images and scores; torchvision's code stays."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            layer = nn.Conv2d(
                child.in_channels
                if child.in_channels == 3
                else child.in_channels // WIDTHS,
                child.out_channels // WIDTHS,
                child.kernel_size,
                child.stride,
                child.padding,
                bias=child.bias is not None,
            )
        elif isinstance(child, nn.BatchNorm2d):
            layer = nn.BatchNorm2d(child.num_features // WIDTHS, child.eps, child.momentum)
        elif isinstance(child, nn.Linear):
            outputs = child.out_features
            layer = nn.Linear(
                child.in_features // WIDTHS,
                outputs if outputs == NARROW_CLASSES else outputs // WIDTHS,
            )
        else:
            narrow(child)
            continue
        setattr(module, name, layer)


def results(name):
    """Yield (what, array) of everything that the tests compare."""
    base, _, divided = name.partition("/")
    model = build(base, num_classes=NARROW_CLASSES) if divided else build(base)
    if divided:
        narrow(model)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    state = model.state_dict()
    arrays = seeded_weights({key: tuple(value.shape) for key, value in state.items()})
    model.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()}, strict=True)
    images = torch.from_numpy(seeded_images(299 if base == "inception_v3" else 224))
    with torch.no_grad():
        yield "evaluation", model.eval()(images)
        scores, heads = split(model.train()(images))
    yield "training", scores
    yield from heads.items()
    for key, value in model.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            yield key, value
    if name in GRADIENTS:
        scores, heads = split(model.double()(images.double()))
        labels = torch.from_numpy(seeded_labels(scores.shape[1]))
        loss = nn.functional.cross_entropy(scores, labels)
        for head in heads.values():
            loss = loss + 0.3 * nn.functional.cross_entropy(head, labels)
        loss.backward()
        yield "loss", loss
        for key, value in model.named_parameters():
            yield f"gradient of {key}", value.grad


def split(output):
    """Return the scores, and those of the heads by name, the lower one first."""
    if not isinstance(output, tuple):
        return output, {}
    heads = output._asdict()
    scores = heads.pop("logits")
    return scores, {f"aux{i}": heads[key] for i, key in enumerate(sorted(heads), 1)}


def keys():
    """Return dtype and shape of every array of every network, by network and key."""
    with torch.device("meta"):
        return {
            name: {
                key: [str(value.dtype).removeprefix("torch."), list(value.shape)]
                for key, value in build(name).state_dict().items()
            }
            for name in NETWORKS
        }


def main():
    """Write both files."""
    warnings.simplefilter("ignore")
    fixtures = {}
    for name in [*(f"{name}/8" for name in NARROW), *NETWORKS]:
        fixtures[name] = {
            what: digest(what, array.detach().numpy()) for what, array in results(name)
        }
        sys.stdout.write(f"{name}: {len(fixtures[name])} arrays\n")
    for file, content in (("fixtures", fixtures), ("keys", keys())):
        text = json.dumps(content, separators=(",", ":")).replace("],", "],\n")
        (HERE / f"torchvision_{file}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
