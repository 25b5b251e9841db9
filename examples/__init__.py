"""The demo: a made-up company, its configuration, and the generator of its inputs."""
