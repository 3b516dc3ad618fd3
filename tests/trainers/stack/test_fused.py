import pytest
from contracts.models import DRAWING, MODELS
from contracts.stack import StackContract

from leadline.trainers.stack import FusedStack


class TestFusedStack(StackContract):
    models = [model for model in MODELS if model not in DRAWING]

    @pytest.fixture
    def make(self):
        return FusedStack
