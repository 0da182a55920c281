"""Local equations: what a model does around one point."""
