"""Files in the published formats of the datasets, written by hand for tests."""

import io
import struct
import tarfile

import numpy as np

from tests.data.image_trees import image_bytes

WORDNET = ("n01440764", "n01443537", "n15075141")  # the first, the second and the last
CIFAR100_NAMES = [f"fine {i}" for i in range(100)], [f"coarse {i}" for i in range(20)]


def idx(array):
    magic = 0x800 + array.ndim
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def write_idx(folder, *, train=5010, test=7, seed=0):
    """Images and labels of MNIST's four files; the images are mostly black."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 8:12, 9:12] = draw.integers(0, 256, (count, 4, 3))
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder


def python2_pickle(value):
    """What Python 2 pickled of dicts, lists, strings, numbers and arrays of uint8."""
    return b"\x80\x02" + _pickled(value) + b"."


def _pickled(value):
    if isinstance(value, bytes):
        short = len(value) < 256
        head = b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))
        return head + value
    if isinstance(value, int):
        return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_pickled, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_pickled(x) for item in value.items() for x in item) + b"u"
    rows, columns = value.shape
    return (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + _pickled(rows) + _pickled(columns) + b"\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89" + _pickled(value.tobytes()) + b"tb"
    )


def cifar_rows(count, seed):
    """Planes of pixels, uint8 [count, 3072], and labels 0, 1, 2, ..."""
    rows = np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)
    return rows, np.arange(count)


def write_cifar10(folder, *, kind, batch=4):
    """Five batches and a test batch, binary or Python."""
    folder.mkdir(parents=True)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for seed, name in enumerate(names):
        rows, labels = cifar_rows(batch, seed)
        if kind == "binary":
            content = b"".join(
                bytes([y % 10]) + row.tobytes() for row, y in zip(rows, labels, strict=True)
            )
            (folder / f"{name}.bin").write_bytes(content)
        else:
            content = {b"batch_label": b"x" * 300, b"labels": [int(y) % 10 for y in labels]}
            content |= {b"data": rows, b"filenames": [b"a.png"] * batch}
            (folder / name).write_bytes(python2_pickle(content))
    classes = b"airplane automobile bird cat deer dog frog horse ship truck".split()
    if kind == "binary":
        (folder / "batches.meta.txt").write_bytes(b"\n".join(classes) + b"\n\n")
    else:
        meta = {b"num_cases_per_batch": 10000, b"label_names": classes, b"num_vis": 3072}
        (folder / "batches.meta").write_bytes(python2_pickle(meta))
    return folder


def write_cifar100(folder, *, kind, train=12, test=4):
    folder.mkdir(parents=True)
    for seed, (name, count) in enumerate((("train", train), ("test", test))):
        rows, labels = cifar_rows(count, seed)
        fine, coarse = [int(y) * 7 % 100 for y in labels], [int(y) % 20 for y in labels]
        if kind == "binary":
            heads = zip(coarse, fine, rows, strict=True)
            content = b"".join(bytes([c, f]) + row.tobytes() for c, f, row in heads)
            (folder / f"{name}.bin").write_bytes(content)
        else:
            content = {b"data": rows, b"fine_labels": fine, b"coarse_labels": coarse}
            (folder / name).write_bytes(python2_pickle(content))
    for name, names in zip(("fine", "coarse"), CIFAR100_NAMES, strict=True):
        if kind == "binary":
            (folder / f"{name}_label_names.txt").write_text("\n".join(names) + "\n")
    if kind != "binary":
        fine, coarse = ([n.encode() for n in names] for names in CIFAR100_NAMES)
        meta = {b"fine_label_names": fine, b"coarse_label_names": coarse}
        (folder / "meta").write_bytes(python2_pickle(meta))
    return folder


def pack_gz(folder, path):
    """The folder in a .tar.gz, as the datasets are published."""
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, folder.name)
    return path


def write_svhn(folder, *, names=("train", "test"), count=20):
    from scipy.io import savemat

    folder.mkdir(parents=True)
    for seed, name in enumerate(names):
        draw = np.random.default_rng(seed)
        images = draw.integers(0, 256, (32, 32, 3, count), np.uint8)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]
        savemat(folder / f"{name}_32x32.mat", {"X": images, "y": labels})
    return folder


def tar_of(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def odd_image(mode, kind):
    """An image of 24x16 pixels with a colour gradient, in a mode that is not RGB."""
    from PIL import Image

    ramp = np.arange(16 * 24, dtype=np.uint8).reshape(16, 24)
    picture = Image.fromarray(np.stack([ramp, 255 - ramp, ramp // 2], axis=-1)).convert(
        mode
    )
    written = io.BytesIO()
    picture.save(written, kind)
    return written.getvalue()


def write_imagenet(folder, *, per_class=5, validation=4):
    """The two tars; one training image is CMYK, one is a PNG, one is grey."""
    folder.mkdir(parents=True)
    inner = {}
    for label, wordnet_id in enumerate(WORDNET):
        images = {
            f"{wordnet_id}_{i}.JPEG": image_bytes(
                60 * label + i, side=20 + i, format="JPEG"
            )
            for i in range(per_class)
        }
        if label == 1:
            images[f"{wordnet_id}_0.JPEG"] = odd_image("CMYK", "JPEG")
            images[f"{wordnet_id}_1.JPEG"] = odd_image("RGB", "PNG")
            images[f"{wordnet_id}_2.JPEG"] = odd_image("L", "JPEG")
        inner[f"{wordnet_id}.tar"] = tar_of(images)
    (folder / "ILSVRC2012_img_train.tar").write_bytes(tar_of(inner))
    images = {
        f"ILSVRC2012_val_{i:08d}.JPEG": image_bytes(200 + i, side=30, format="JPEG")
        for i in range(validation, 0, -1)  # not in the order of their numbers
    }
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar_of(images))
    return folder
