"""Data sets of packages that aren't among our dependencies, by stand-ins for those packages."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from leadline.errors import DataError
from leadline.trainers.data import is_remote, load


class ClassLabel:
    def __init__(self, *names):
        self.names = list(names)


class ImageFeature:
    def __init__(self, decode=True):
        self.decode = decode


ImageFeature.__name__ = "Image"


class Value:
    pass


class Part:
    """As much of a `datasets.Dataset` as is used."""

    def __init__(self, frame, **features):
        self.frame, self.features = frame, features

    def __len__(self):
        return len(self.frame)

    def __getitem__(self, key):
        return self.frame[key].tolist() if isinstance(key, str) else self.frame.iloc[key].to_dict()

    def cast_column(self, name, feature):
        assert not feature.decode
        return Part(self.frame, **{**self.features, name: feature})

    def to_pandas(self):
        return self.frame.copy()


@pytest.fixture
def hub(monkeypatch):
    """Puts a package `datasets` in place, with the given data sets."""

    def put(**found):
        def load_dataset(name):
            if name not in found:
                raise ConnectionError(f"no\nroute to {name}")
            return found[name]

        monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset, Image=ImageFeature))

    return put


def table(n):
    frame = pandas.DataFrame({"x": np.arange(n) / 2, "label": np.arange(n) % 2, "who": ["u", "v", "w"][:n] * 1})
    return Part(frame, x=Value(), label=ClassLabel("no", "yes"), who=Value())


def pictures(n, side=4):
    def cell(place):
        buffer = io.BytesIO()
        Image.new("RGB", (side, side), (place, 0, 0)).save(buffer, "PNG")
        return {"bytes": buffer.getvalue(), "path": None}

    frame = pandas.DataFrame({"image": [cell(place) for place in range(n)], "label": np.arange(n) % 2})
    return Part(frame, image=ImageFeature(), label=ClassLabel("cat", "dog"))


def test_a_table_of_the_hub_comes_with_its_test_set_and_the_names_of_its_classes(hub):
    hub(**{"org/people": {"train": table(3), "validation": table(2), "test": table(1)}})
    data = load("hf:org/people", group="who")
    assert (data.name, data.classes, len(data), data.test) == ("people", ("no", "yes"), 6, 1)
    assert (list(data.inputs.columns), data.groups.tolist()) == (["x"], [0, 1, 2, 0, 1, 0])


def test_images_of_the_hub_are_decoded_into_the_cache(hub, cache):
    hub(pets={"train": pictures(3), "test": pictures(2)})
    data = load("hf:pets")
    assert (data.inputs.shape, data.classes, data.test) == ((5, 3, 4, 4), ("cat", "dog"), 2)
    assert data.inputs[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1]
    assert load("hf:pets", size=2).inputs.shape == (5, 3, 2, 2)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("hf:nowhere", {}, "`hf:nowhere` can't be had: ConnectionError: no route to nowhere"),
        ("hf:odd", {}, "`hf:odd` must have a split called `train`, but has: all"),
        ("hf:pets", {"group": "who"}, "`hf:pets` holds images, and takes no `group`"),
        ("hf:pets", {"label": "lable"}, "which column holds the classes. Did you mean `label`"),
        ("hf:people", {"size": 4}, "`hf:people` holds no images, and takes no `size`"),
        ("hf:people", {"header": True}, "Only tables take `header`, and 'hf:people' is none"),
    ],
)
def test_what_the_hub_cannot_give_is_one_clear_line(hub, source, options, message):
    hub(odd={"all": table(2)}, pets={"train": pictures(2)}, people={"train": table(2)})
    with pytest.raises(DataError, match=message) as caught:
        load(source, **options)
    assert "\n" not in str(caught.value)


def vision(monkeypatch, **kinds):
    package = SimpleNamespace(datasets=SimpleNamespace(**kinds))
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", package.datasets)


class Grey:
    classes = ("zero", "one")

    def __init__(self, root, train=True, download=False):
        assert download
        assert root.endswith("leadline/torchvision")
        n = 4 if train else 2
        self.data, self.targets = torch.arange(n * 12, dtype=torch.uint8).reshape(n, 3, 4), torch.arange(n) % 2


class Colour:
    def __init__(self, root, split="train", download=False):
        n = 4 if split == "train" else 2
        self.data, self.labels = np.zeros((n, 8, 8, 3), np.uint8), np.arange(n) % 2


class InFiles:
    def __init__(self, root, download=False):
        pass


class Offline:
    def __init__(self, root, train=True):
        raise RuntimeError("Error downloading\nfoo")


def test_arrays_of_torchvision_come_with_their_test_set(monkeypatch):
    vision(monkeypatch, Grey=Grey, Colour=Colour)
    grey, colour = load("torchvision:Grey"), load("torchvision:Colour")
    assert (grey.inputs.shape, grey.test, grey.classes) == ((6, 3, 4), 2, ("zero", "one"))
    assert (colour.inputs.shape, colour.test, colour.classes) == ((6, 3, 8, 8), 2, ("0", "1"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Gray", "torchvision has no data set of that name. Did you mean `Grey`"),
        ("InFiles", "`torchvision:InFiles` isn't kept in one array. Give the folder of its images"),
        ("Offline", "`torchvision:Offline` can't be had: RuntimeError: Error downloading foo"),
    ],
)
def test_what_torchvision_cannot_give_is_one_clear_line(monkeypatch, name, message):
    vision(monkeypatch, Grey=Grey, InFiles=InFiles, Offline=Offline)
    with pytest.raises(DataError, match=message):
        load(f"torchvision:{name}")


@pytest.mark.parametrize(
    ("source", "package"),
    [("hf:mnist", "datasets"), ("torchvision:MNIST", "torchvision")],
)
def test_without_the_package_the_error_says_which_to_install(monkeypatch, source, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.datasets", None)
    with pytest.raises(DataError, match=f"`{source}` needs the package `{package}`: pip install {package}"):
        load(source)


@pytest.mark.parametrize(
    ("source", "remote"),
    [
        ("hf:mnist", True),
        ("hf:org/name", True),
        ("torchvision:MNIST", True),
        ("hf", False),
        ("a:b", False),
        ("C:/x", False),
    ],
)
def test_names_to_be_fetched_are_told_from_references_and_paths(source, remote):
    assert is_remote(source) is remote
