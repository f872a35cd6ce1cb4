"""The experiment: configuration, stages, run directory and the command ``boundary``."""
