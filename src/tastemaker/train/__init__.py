"""Fit a model: losses, samplers, optimizers, the loop, checkpoints."""

import os

# oneDNN keeps a compiled kernel for each of the last 1,024 shapes it met. Ragged batches seldom repeat a shape, so on a CPU that
# store would grow to a gigabyte of kernels never used again. Read by oneDNN at its first product.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
