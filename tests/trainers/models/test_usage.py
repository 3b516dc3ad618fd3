"""The lines that say how a file is used: what a user reads first (`test_formats` runs them)."""

from __future__ import annotations

from collections.abc import Callable

from leadline.trainers.models import Model
from leadline.trainers.models.usage import usage

Make = Callable[..., Model]


def test_weights_alone_say_how_their_network_is_built(make: Make) -> None:
    assert usage(make("numbers").card, "torch", "m.pt") == (
        "import leadline as ll\n"
        "ll.load_model('m.pt').predict(inputs)\n"
        "# or the network alone, of prepared inputs:\n"
        'network = ll.build("mlp", in_shape=(5,), classes=3, depth=1, feature_maps=4)\n'
        "network.load_state_dict(torch.load('m.pt', weights_only=True)[\"state_dict\"])\n"
        "# inputs: float64 (n, 5), as the data hold them\n"
        "# answers: float32 (n, 3), probabilities"
    )


def test_an_ensemble_has_no_network_alone_and_a_table_its_encoding(make: Make) -> None:
    lines = usage(make("table", networks=2, classes=None).card, "safetensors", "m.safetensors")
    assert "network" not in lines
    assert "a table's encoded columns, as the card has them" in lines
    assert lines.endswith("# answers: float32 (n,), values in the targets' own units")


def test_a_network_of_ones_own_is_named(make: Make) -> None:
    card = make("numbers").card
    card["networks"][0]["model"] = "mine:build"
    lines = usage(card, "torch", "m.pt")
    assert "ll.load_model('m.pt', build).predict(inputs)" in lines
    assert "yours: mine:build" in lines
