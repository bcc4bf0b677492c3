import importlib
import sys

import pytest

import cnn_jax
from cnn_jax.errors import UserError
from cnn_jax.registry import check_name, collect, lookup, unknown


@pytest.fixture
def package(tmp_path, monkeypatch, request):
    """Return a function that writes modules into a package of its own and imports it."""
    name = f"declared_{abs(hash(request.node.nodeid))}"

    def write(**modules):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        for module, text in modules.items():
            (tmp_path / name / f"{module}.py").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for module in [m for m in sys.modules if m.split(".")[0] == name]:
        del sys.modules[module]


def test_what_files_declare_is_collected_and_sorted(package):
    declared = collect(
        package(
            first="THINGS = {'zfnet': 1, 'lenet5': 2}",
            second="THINGS = {'alexnet': 3}",
            third="OTHER = {'vgg_d': 4}",
        ),
        "THINGS",
    )
    assert list(declared.items()) == [("alexnet", 3), ("lenet5", 2), ("zfnet", 1)]


def test_two_files_with_one_name_clash(package):
    module = package(first="THINGS = {'alexnet': 1}", second="THINGS = {'alexnet': 2}")
    with pytest.raises(ValueError, match="'alexnet' is declared in first and in second"):
        collect(module, "THINGS")


@pytest.mark.parametrize("name", ["AlexNet", "vgg-d", "_net", "", "le net", "réseau"])
def test_a_name_must_be_lower_case_letters_digits_and_underscores(package, name):
    with pytest.raises(ValueError, match=r"THINGS of first: name .* does not match"):
        collect(package(first=f"THINGS = {{{name!r}: 1}}"), "THINGS")


def test_good_names_pass():
    for name in ("vgg_d", "2conv", "lenet5_modern"):
        check_name(name, what="model")


def test_an_unknown_name_is_answered_with_near_ones_and_all_known_ones():
    with pytest.raises(UserError) as error:
        lookup({"vgg_d": 1, "alexnet": 2, "alexnet_small": 3}, "alexnt", what="model")
    assert str(error.value) == (
        "unknown model 'alexnt'; did you mean alexnet, alexnet_small? "
        "(known: alexnet, alexnet_small, vgg_d)"
    )
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_a_name_that_is_near_to_nothing_gets_no_guess():
    assert str(unknown("xyz", ["alexnet"], what="model")) == (
        "unknown model 'xyz'; (known: alexnet)"
    )


def test_lookup_returns_what_was_declared():
    assert lookup({"vgg_d": 1}, "vgg_d", what="model") == 1


def test_a_model_name_that_does_not_exist_is_a_users_mistake():
    with pytest.raises(UserError, match=r"unknown model 'lenet5_moder'.*lenet5_modern"):
        cnn_jax.create_model("lenet5_moder")
    with pytest.raises(UserError, match="unknown model"):
        cnn_jax.model_spec("resnext")


def test_the_public_names_exist_and_an_unknown_one_is_an_attribute_error():
    for name in cnn_jax.__all__:
        assert getattr(cnn_jax, name) is not None
        assert name in dir(cnn_jax)
    with pytest.raises(AttributeError, match="has no attribute 'alexnet'"):
        _ = cnn_jax.alexnet
