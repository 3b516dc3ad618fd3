"""The lines that say how a file is used: what a user reads first (`test_formats` runs them)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from leadline.trainers.models import Model
from leadline.trainers.models.usage import usage

Make = Callable[..., Model]


def test_weights_alone_say_how_their_network_is_built(make: Make) -> None:
    assert usage(make("numbers").card, "torch", "m.pt") == (
        "import leadline as ll\n"
        "model = ll.load_model('m.pt')\n"
        "answers = model.predict(inputs)\n"
        "# or the network alone, in evaluation mode, of inputs prepared as in training:\n"
        "import torch\n"
        'network = ll.build("mlp", in_shape=(5,), classes=3, depth=1, feature_maps=4).eval()\n'
        "network.load_state_dict(torch.load('m.pt', weights_only=True)[\"state_dict\"])\n"
        "answers = network(model.prepared(inputs)).softmax(dim=1)\n"
        "# inputs: float64 (n, 5), as the data hold them\n"
        "# answers: float32 (n, 3), probabilities"
    )


def test_an_ensemble_has_no_network_alone_and_a_table_its_encoding(make: Make) -> None:
    lines = usage(make("table", networks=2, classes=None).card, "safetensors", "m.safetensors")
    assert "network" not in lines
    assert "a table's encoded columns, as the card has them" in lines
    assert lines.endswith("# answers: float32 (n,), values in the targets' own units")


@pytest.mark.parametrize(
    ("model", "given", "builder"),
    [
        ("mine:network", "from mine import network", "network"),
        ("mine:Net.small", "from mine import Net", "Net.small"),
        ("<build in script.py:3>", "# build: your function, <build in script.py:3>", "build"),
    ],
)
def test_a_network_of_ones_own_is_built_by_its_own_function(make: Make, model: str, given: str, builder: str) -> None:
    card = make("numbers").card
    card["networks"][0]["model"] = model
    lines = usage(card, "torch", "m.pt").splitlines()
    assert lines[0] == given
    assert f"model = ll.load_model('m.pt', {builder})" in lines
    assert f"network = ll.build({builder}, in_shape=(5,), classes=3, depth=1, feature_maps=4).eval()" in lines
