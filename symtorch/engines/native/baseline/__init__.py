"""What every output gets before anything is searched for: least squares on all inputs."""
