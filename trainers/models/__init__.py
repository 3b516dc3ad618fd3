"""Trained networks as they are taken home: with all that lies between a source's inputs and an answer.

Needs torch, numpy and safetensors, no more: what was exported is loaded without a study, and without Optuna.
"""

from .formats import FORMATS, file_of, format_of, load_model, save
from .model import Model
from .predictor import Member, Predictor

__all__ = ["FORMATS", "Member", "Model", "Predictor", "file_of", "format_of", "load_model", "save"]
