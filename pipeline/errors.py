"""Every error the machine raises on purpose.

::

    RaftlineError                 exit code 1: ours
    ├── UserError                 exit code 2: the user can mend it
    │   ├── ConfigError           a key, value or wiring in the YAML or on the command line
    │   ├── InputError            a source that cannot be opened, read or decoded
    │   ├── OutputError           a file that cannot be written (disk full, no permission)
    │   ├── WeightsError          weights that are missing, damaged or of another network
    │   ├── TransportError        Redis unreachable, refusing or out of memory
    │   │   ├── TransportLost     the connection broke; the operation may be repeated
    │   │   └── GroupLost         the server lost its data (a restart without persistence)
    │   └── PluginError           a stage that cannot be imported, opened or that broke its contract
    ├── DecodeError               a stream entry that is not a message of this version
    ├── StalePayloadError         pixels that were recycled before they were read
    ├── LeaseLost                 another worker owns the source now; nothing was published
    └── WorkerFailed              a worker that kept dying

A `UserError` is final: a worker that meets one stops the run with its words. Any other exception counts
against the entry that was being processed.
"""

from __future__ import annotations


class RaftlineError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class UserError(RaftlineError):
    """The user can mend it; the message says how."""

    exit_code = 2


class ConfigError(UserError):
    """A key, a value or the wiring of a configuration is wrong."""


class InputError(UserError):
    """A source cannot be opened, read or decoded. Ends that source, not the others."""


class OutputError(UserError):
    """An output cannot be written."""


class WeightsError(UserError):
    """Weights are missing, damaged, or of another network."""


class TransportError(UserError):
    """Redis cannot be reached, refuses, or is out of memory."""


class TransportLost(TransportError):
    """The connection broke in the middle. Every operation of a transport may be repeated after it."""


class GroupLost(TransportError):
    """The server no longer knows the streams: it was restarted and keeps nothing on disk."""


class PluginError(UserError):
    """A stage cannot be imported or opened, or broke its contract."""


class DecodeError(RaftlineError):
    """A stream entry is not a message of this format version."""


class StalePayloadError(RaftlineError):
    """A slot was recycled before its reader came. Only the live policy meets it."""


class LeaseLost(RaftlineError):
    """The lease on a source belongs to another worker; the commit was refused whole."""


class WorkerFailed(RaftlineError):
    """A worker died more often than the restart limit allows."""
