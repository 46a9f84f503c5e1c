"""Errors of weights::

WeightsError(ValueError)
├── WeightsNotFound       no such file, no such name
├── WeightsUnreadable     truncated, not a weights file, or holding anything but tensors
├── WeightsMismatch       of another network: keys or shapes differ
└── WeightsUnavailable    a download that failed, or whose hash is wrong
"""


class WeightsError(ValueError):
    """Weights that cannot be used; the message says which, why, and what to do."""


class WeightsNotFound(WeightsError):
    """No such file and no such name."""


class WeightsUnreadable(WeightsError):
    """A file that is no weights file, is truncated, or holds anything but tensors."""


class WeightsMismatch(WeightsError):
    """Tensors of another network."""


class WeightsUnavailable(WeightsError):
    """A download that failed or does not have the expected hash."""
