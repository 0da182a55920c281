DEPRECATED_KWARGS = {"npop": "population_size"}
