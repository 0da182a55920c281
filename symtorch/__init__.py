"""Symbolic distillation for PyTorch: closed-form equations in the place of neural network parts."""

__version__ = "2.0.0.dev0"
