"""Constants: fitting them, dropping them, and keeping what has been fitted."""
