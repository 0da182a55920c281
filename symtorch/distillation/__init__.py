"""One request to distill, from its check to the fronts that it brings."""
