"""The Inception family in NumPy, from the papers: loops over pixels, float64."""

import math

import jax
import numpy as np

from cnn_jax.layers.tracing import trace_variables


def random_variables(model, draw):
    """Random parameters and statistics, such that the image still matters at the end.

    Kernels keep the mean square of their input (He et al. 2015); what is added stays
    small, so that few units are dead, but is random too: one in the wrong place shows.
    """

    def leaf(path, shape):
        match path[-1].key:
            case "var" | "scale":
                return draw.uniform(0.7, 1.4, shape.shape).astype(np.float32)
            case "kernel":
                deviation = math.sqrt(2.0 / math.prod(shape.shape[:-1]))
            case _:
                deviation = 0.2
        return (deviation * draw.standard_normal(shape.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, trace_variables(model))


def random_images(model, draw):
    """Three images, each with twice the contrast of the one before."""
    images = draw.standard_normal((3, *model.input_shape), np.float32)
    return images * np.float32([[[[1]]], [[[2]]], [[[4]]]])


def same(size, window, stride):
    """TensorFlow's zeros before and after: as many outputs as size / stride, rounded up."""
    total = max((math.ceil(size / stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def correlate(x, kernel, *, stride=1, padding="same"):
    """Slide a kernel [h, w, in, out] over images [N, H, W, in]."""
    height, width = kernel.shape[:2]
    if padding == "same":
        padding = (same(x.shape[1], height, stride), same(x.shape[2], width, stride))
    elif isinstance(padding, int):
        padding = ((padding, padding), (padding, padding))
    x = np.pad(x.astype(np.float64), ((0, 0), *padding, (0, 0)))
    rows = (x.shape[1] - height) // stride + 1
    columns = (x.shape[2] - width) // stride + 1
    out = np.zeros((x.shape[0], rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            patch = x[:, top : top + height, left : left + width]
            out[:, i, j] = np.tensordot(patch, kernel, axes=3)
    return out


VALID = ((0, 0), (0, 0))


def pool(x, size, stride, combine, *, before=0, count=None):
    """Combine the pixels of each window that lie inside the image; the rest is cut off.

    ``count`` is the number of windows, by default so many that no pixel is left out (ceil).
    """
    out = []
    for i in range(count or math.ceil((x.shape[1] - size) / stride) + 1):
        top = i * stride - before
        for j in range(count or math.ceil((x.shape[2] - size) / stride) + 1):
            left = j * stride - before
            window = x[:, max(top, 0) : top + size, max(left, 0) : left + size]
            out.append(combine(window, axis=(1, 2)))
    edge = math.isqrt(len(out))
    return np.stack(out, axis=1).reshape(x.shape[0], edge, edge, x.shape[-1])


def relu(x):
    """Return the positive part."""
    return np.where(x > 0, x, 0.0)


def response_norm(x, row):
    """Krizhevsky et al. 2012, Section 3.3, channel by channel."""
    out = np.zeros(x.shape)
    for i in range(x.shape[-1]):
        near = x[..., max(i - row.n // 2, 0) : i + row.n // 2 + 1]
        out[..., i] = x[..., i] / (row.k + row.alpha * (near**2).sum(-1)) ** row.beta
    return out


class Normalised:
    """Convolution, batch normalisation, ReLU, with parameters under their scopes.

    Ioffe and Szegedy 2015, algorithm 1; in training ``updated`` collects the running
    statistics after the step.
    """

    def __init__(self, variables, norm, *, train):
        self.variables, self.norm, self.train = variables, norm, train
        self.updated = {}

    def __call__(self, x, *path, **window):
        """Apply the unit whose scope is ``path``."""
        *blocks, name = path
        params, stats = self.variables["params"], self.variables["batch_stats"]
        for block in blocks:
            params, stats = params[block], stats[block]
        assert "bias" not in params[name]
        x = correlate(x, params[name]["kernel"], **window)
        old, scope = stats[f"{name}_norm"], params[f"{name}_norm"]
        mean, var = old["mean"], old["var"]
        if self.train:
            mean, var = x.mean((0, 1, 2)), ((x - x.mean((0, 1, 2))) ** 2).mean((0, 1, 2))
            keep = self.norm.momentum
            self.updated["/".join(path)] = (
                keep * old["mean"] + (1 - keep) * mean,
                keep * old["var"] + (1 - keep) * var,
            )
        x = (x - mean) / np.sqrt(var + self.norm.epsilon)
        return relu(x * scope["scale"] + scope["bias"])


def dense(x, layer):
    """Apply a fully connected layer to the flattened input."""
    return x.reshape(len(x), -1) @ layer["kernel"] + layer["bias"]


def run(model, variables, images, *, train):
    """Return (logits, auxiliary logits by row, batch_stats after the call) of cnn_jax."""

    def apply(variables, images):
        return model.apply(
            variables, images, train=train, mutable=["batch_stats", "aux_logits"]
        )

    logits, changed = jax.jit(apply)(variables, images)
    heads = {}
    for name, sown in changed.get("aux_logits", {}).items():
        (head,) = jax.tree.leaves(sown)
        heads[name] = np.asarray(head)
    return np.asarray(logits), heads, changed.get("batch_stats", {})


def check_statistics(expected, batch_stats):
    """Compare the running statistics after a training step; return how many there are."""
    for path, (mean, var) in expected.items():
        scope = batch_stats
        *blocks, name = path.split("/")
        for block in blocks:
            scope = scope[block]
        near = {"rtol": 2e-4, "atol": 2e-5}  # float32 against float64, a few layers
        np.testing.assert_allclose(scope[f"{name}_norm"]["mean"], mean, **near)
        np.testing.assert_allclose(scope[f"{name}_norm"]["var"], var, **near)
    assert 2 * len(expected) == len(jax.tree.leaves(batch_stats))
    return len(expected)


def output_shapes(model, monkeypatch):
    """Return the output shape of each row for one image, found in one trace."""
    network = type(model).__mro__[1]
    apply, seen = network._row, {}

    def spy(self, row, x, style, *, train):
        y = apply(self, row, x, style, train=train)
        seen[row.name] = tuple(y.shape[1:])
        return y

    with monkeypatch.context() as patch:
        patch.setattr(network, "_row", spy)
        trace_variables(model)
    return seen


def parameters(model):
    """Return the number of parameters under each name of the table.

    A norm (``conv1_norm``) counts with its row.
    """
    counts = {}
    names = [row.name for row in model.table]
    for scope, tree in trace_variables(model)["params"].items():
        name = scope if scope in names else scope.removesuffix("_norm")
        leaves = jax.tree.leaves(tree)
        counts[name] = counts.get(name, 0) + sum(math.prod(leaf.shape) for leaf in leaves)
    return counts


def check_layers(model, reference, monkeypatch):
    """Compare every row with its reference (shape, parameters, MACs); return how many.

    The reference counts a row without parameters or multiply-adds as 0.
    """
    from cnn_jax.analysis.compute import layer_macs

    shapes, counted = output_shapes(model, monkeypatch), parameters(model)
    macs = {}
    for path, number in layer_macs(model).items():
        name = path.split("/")[0]
        macs[name] = macs.get(name, 0) + number
    measured = {
        name: (shapes[name], counted.get(name, 0), macs.get(name, 0)) for name in reference
    }
    assert measured == reference
    main = [row.name for row in model.table if not row.name.startswith("aux")]
    assert main == list(reference)
    return 3 * len(reference)
