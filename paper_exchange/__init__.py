"""The paper account and the sources of quotes behind dry run, simulation and replay."""
