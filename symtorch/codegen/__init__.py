"""Equations -> running code: a torch function, a C kernel, sources for other programs."""
