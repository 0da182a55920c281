"""Expressions as the native search writes them: normal form, vocabulary, algebra, places, productions."""
