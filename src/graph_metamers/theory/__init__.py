"""What can be computed about unseen changes without a search: dimensions, volumes, spectra, visibility."""

from __future__ import annotations

from graph_metamers.theory.volume import VolumeChange, volume_change

__all__ = ["VolumeChange", "volume_change"]
