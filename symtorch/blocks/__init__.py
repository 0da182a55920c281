"""Replaced blocks of one model together: tuned against the original, and ranked by what each of them costs it."""
