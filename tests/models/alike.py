"""Networks that differ from another one in widths or repetitions only.

Tracing many layers takes seconds: what holds for all networks is asserted for one of each
kind by default, and for these with ``pytest -m slow``.
"""

ALIKE = frozenset(
    {
        *(f"{k}{depth}" for k in ("resnet", "plain") for depth in (32, 44, 56, 110)),
        *("resnet1202", "resnet50", "resnet101", "resnet152", "resnet34", "plain34"),
        *("vgg_a_lrn", "vgg_b", "vgg_c", "vgg_b_bn", "vgg_d_bn", "vgg_e_bn"),
        *("alexnet_ungrouped", "zfnet_wide", "overfeat_accurate"),
        *("prelu_net_b", "prelu_net_c", "googlenet_small", "inception_v3"),
        *("z2_all_cnn_c", "p4m_all_cnn_c", "z2_resnet44", "p4m_resnet44"),
        *("mcdnn_gtsrb", "mcdnn_cifar10", "text_char", "text_ngram", "vgg_a_bn"),
        *("dropconnect_mnist_mlp", "maxout_mnist_mlp", "scattering_cnn", "plain18"),
        *("p4cnn_rotation_pooling", "p4_all_cnn_c", "plain20", "googlenet_torchvision"),
    }
)
