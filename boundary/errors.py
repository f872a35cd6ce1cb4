"""The errors this project raises on purpose; the command line answers each in one sentence."""


class BoundaryError(Exception):
    """Something the user can mend: the message names what was found and the way out."""


class InputError(BoundaryError, ValueError):
    """An argument, a model or an image that cannot be used as it is."""


class StoreError(BoundaryError):
    """A file of a run that is damaged, or that belongs to other settings."""
