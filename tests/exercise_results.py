"""Answers of the package to the lectures' questions about published results.

``RESULTS`` has a function for each exercise, from its inputs to what should be its answer.
``PRINTED`` stands for what a source prints and nothing here computes.
"""

import dataclasses

import cnn_jax

PRINTED = object()


def _zeiler_fergus_rows():
    """Table 3: the rows of AlexNet and of ZFNet, from the studies that ask it again."""
    alexnet, _ = cnn_jax.load_study("alexnet_layer_removal")
    zfnet, _ = cnn_jax.load_study("zfnet_widths")
    top1, top5 = (column.values for column in alexnet.published[:2])
    order = "full without_3_4 without_7 without_6_7 without_3_4_6_7 fc_half fc_double"
    rows = [[PRINTED, PRINTED, top1[arm], top5[arm]] for arm in order.split()]
    columns = [column.values for column in zfnet.published[:3]]
    for arm in ("full", "fc_half", "fc_double", "wide", "wide_fc_double"):
        rows.append([PRINTED, *(column[arm] for column in columns)])
    return rows


def _removed_parameters(study, base):
    """The parameters of each arm of the layer removal for one of the two AlexNets."""

    def parameters(arm):
        return cnn_jax.count_parameters(study.arms[arm].edit(base).model)

    full = parameters("full")
    answer = {"base": full}
    for arm in ("7", "6_7", "3_4", "3_4_6_7"):
        left = parameters(f"without_{arm}")
        answer[f"remove_{arm}"] = {"params": left, "params_removed": full - left}
    for name, arm in (("fc67_2048", "fc_half"), ("fc67_8192", "fc_double")):
        answer[name] = {"params": parameters(arm)}
    return answer


def _layer_removal(_):
    study, _path = cnn_jax.load_study("alexnet_layer_removal")
    printed = study.settings[study.printed]
    ungrouped = dataclasses.replace(
        printed, model=cnn_jax.create_model("alexnet_ungrouped")
    )
    _, top5, tutorial = (column.values for column in study.published)
    removals = ("7", "6_7", "3_4", "3_4_6_7")

    def told(removal):
        drop = tutorial.get(f"without_{removal}", PRINTED)
        return {"params_removed": PRINTED, "drop": drop}

    return {
        "zf_table3": {"columns": PRINTED, "rows": _zeiler_fergus_rows()},
        "fergus_tutorial_and_deck": {
            "baseline_top5": PRINTED,
            **{f"remove_{removal}": told(removal) for removal in removals},
        },
        "zf_table3_top5_drop_vs_18.1": {
            f"remove_{removal}": top5[f"without_{removal}"] - top5["full"]
            for removal in removals
        },
        "params_by_arithmetic": {
            "grouped_2012": _removed_parameters(study, printed),
            "ungrouped_zf_replication": _removed_parameters(study, ungrouped),
        },
    }


_TABLE_4 = (
    ("VGG (ILSVRC14)", "vgg_e", "ILSVRC-2014 test, 1 network"),
    ("GoogLeNet (ILSVRC14)", "googlenet", "1 network, 144 crops"),
    ("VGG v5", "vgg_e", "150 crops and dense"),
    ("PReLU-net", "prelu_net_c", "1 network, several scales"),
    ("BN-inception", "bn_inception", "144 crops; He et al. 2016"),
    ("ResNet-34 B", "resnet34", "5 scales; He et al. 2016"),
    ("ResNet-34 C", "resnet34", "5 scales, option C; He et al. 2016"),
    ("ResNet-50", "resnet50", "5 scales; He et al. 2016"),
    ("ResNet-101", "resnet101", "5 scales; He et al. 2016"),
    ("ResNet-152", "resnet152", "5 scales; He et al. 2016"),
)


def _resnet_table_4(_):
    rows = []
    for label, name, told in _TABLE_4:
        (error,) = (
            error
            for error in cnn_jax.model_spec(name).published
            if told in f"{error.protocol}; {error.source}"
        )
        rows.append([label, error.top1, error.top5])
    return rows


RESULTS = {
    "alexnet_layer_removal": _layer_removal,
    "resnet_table4": _resnet_table_4,
}
