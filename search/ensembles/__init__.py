"""Ensembles: which trials' networks answer together, chosen on validation rows, and what that is worth."""

from .ensemble import Ensemble, EnsembleMember, chosen, ensemble_model

__all__ = ["Ensemble", "EnsembleMember", "chosen", "ensemble_model"]
