"""The version, where everything can read it without importing the package's top."""

__version__ = "2.0.0.dev0"
