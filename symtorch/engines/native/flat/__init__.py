"""The search over expressions as a whole: bank, contexts, refinement, pursuit."""
