"""The published recipes of GoogLeNet, BN-Inception and Inception v3 on ImageNet.

What the papers did, and what stands in its place:

    asynchronous steps of many replicas: one step after the other, of one replica's batch
    crops of the whole image: of its central square, as it is kept
    random interpolation, "relatively late": bilinear
    pixels scaled to -1 ... 1, as the release of Inception v3: mean and deviation of each
        channel

GoogLeNet: Szegedy et al. 2015, Section 6, prints momentum, the decay of the rate, the
weight of the auxiliary losses (Section 5), and no rate, batch, weight decay or length;
those are Caffe's for this network (``bvlc_googlenet``, solver.prototxt, 10 million steps of
32). Nor does it say over which steps it takes Polyak's average; here those of the last 25
epochs. Crops are of 8 to 100 % of the area with sides 3:4 to 4:3; the photometric
distortions are Howard's, with the noise of Krizhevsky et al. 2012 after them as he has it.

BN-Inception: Ioffe and Szegedy 2015, Sections 4.2.1 and 4.2.2, the network BN-x30, which
prints rate, batch and 6 million steps (150 epochs). "6 times faster" decay and "a fifth" of
the weight decay are taken of GoogLeNet's numbers above: 0.96 every 8/6 epochs and 4e-5,
which is also what Google's TF-slim has. "Reduce the photometric distortions" comes without
numbers: here half of GoogLeNet's strengths.

Inception v3: Szegedy et al. 2016, Sections 7 and 8. From TF-slim and the released program
for training (``inception_train.py``): momentum 0.9, weight decay (4e-5), weight of the
auxiliary loss (0.4), decay and warm-up of the average, evaluation on the central 7/8 (299
of 342), crops from 5 % of the area on. That program changes brightness (by up to 1/8 of
white), contrast and saturation (0.5 to 1.5) and hue (0.2) in one of two orders: here the
first three, as Howard does. That the threshold of 2 is for the norm of all gradients
together is ours.
"""

from cnn_jax import Experiment, create_model
from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise
from cnn_jax.data.photometric import PhotometricDistortion
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.data.resized_crop import RandomResizedCrop
from cnn_jax.optim.decay import Exponential
from cnn_jax.optim.optimizers import RmsProp, Sgd
from cnn_jax.optim.regularization import ClipByGlobalNorm
from cnn_jax.training.averaging import ExponentialAverage, PolyakAverage
from cnn_jax.training.losses import LabelSmoothing, cross_entropy

EXPERIMENTS = {
    "googlenet_imagenet": Experiment(
        question="How well does GoogLeNet classify ImageNet?",
        source="Szegedy et al. 2015, Sections 5 and 6; Caffe's bvlc_googlenet",
        model=create_model("googlenet"),
        dataset="imagenet2012",
        image_size=(256, 256),
        normalization=Normalization(mean="channel", deviation="none"),
        augmentation=(
            RandomResizedCrop(224, 224, area=(0.08, 1.0), aspect=(3 / 4, 4 / 3)),
            HorizontalFlip(),
            PhotometricDistortion(brightness=0.5, contrast=0.5, colour=0.5),
            PcaColourNoise(0.1),
        ),
        loss=cross_entropy,
        auxiliary_weight=0.3,
        optimizer=Sgd(momentum=0.9, weight_decay=2e-4, decay_biases=False),
        schedule=Exponential(rate=0.01, factor=0.96, every_epochs=8),
        averaging=PolyakAverage(from_epoch=225),
        epochs=250,
        batch_size=32,
        seed=0,
    ),
    "bn_inception_imagenet": Experiment(
        question="How well does BN-Inception classify ImageNet?",
        source="Ioffe and Szegedy 2015, Sections 4.2.1 and 4.2.2, BN-x30",
        model=create_model("bn_inception"),
        dataset="imagenet2012",
        image_size=(256, 256),
        normalization=Normalization(mean="channel", deviation="none"),
        augmentation=(
            RandomResizedCrop(224, 224, area=(0.08, 1.0), aspect=(3 / 4, 4 / 3)),
            HorizontalFlip(),
            PhotometricDistortion(brightness=0.25, contrast=0.25, colour=0.25),
            PcaColourNoise(0.05),
        ),
        loss=cross_entropy,
        optimizer=Sgd(momentum=0.9, weight_decay=4e-5, decay_biases=False),
        schedule=Exponential(rate=0.045, factor=0.96, every_epochs=8 / 6),
        epochs=150,
        batch_size=32,
        seed=0,
    ),
    "inception_v3_imagenet": Experiment(
        question="How well does Inception v3 classify ImageNet?",
        source="Szegedy et al. 2016, Section 8; TF-slim's inception_v3",
        model=create_model("inception_v3"),
        dataset="imagenet2012",
        image_size=(342, 342),
        normalization=Normalization(mean="channel", deviation="channel"),
        augmentation=(
            RandomResizedCrop(299, 299, area=(0.05, 1.0), aspect=(3 / 4, 4 / 3)),
            HorizontalFlip(),
            PhotometricDistortion(brightness=1 / 8, contrast=0.5, colour=0.5),
        ),
        loss=LabelSmoothing(0.1),
        auxiliary_weight=0.4,
        optimizer=RmsProp(
            decay=0.9,
            epsilon=1.0,
            momentum=0.9,
            weight_decay=4e-5,
            decay_biases=False,
            clip=ClipByGlobalNorm(2.0),
        ),
        schedule=Exponential(rate=0.045, factor=0.94, every_epochs=2),
        averaging=ExponentialAverage(decay=0.9999, warmup=True),
        epochs=100,
        batch_size=32,
        seed=0,
    ),
}
