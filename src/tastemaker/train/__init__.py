"""Fit a model: losses, samplers, optimizers, the loop, checkpoints."""
