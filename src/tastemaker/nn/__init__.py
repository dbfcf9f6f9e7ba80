"""Torch building blocks: no models, no training."""
