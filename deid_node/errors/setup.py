"""What the operator set up cannot be used."""

from __future__ import annotations

from deid_node.errors.base import DeidNodeError, Release


class SettingsInvalid(DeidNodeError):
    """A settings file cannot be used."""

    release = Release.AGAIN
    exit_code = 78
    next_step = "correct the settings file; `deid-node config schema` lists every key"


class ProfileInvalid(SettingsInvalid):
    """A profile file cannot be used."""

    release = Release.AGAIN
    next_step = "correct the profile; `deid-node profile show NAME` prints a valid one"


class ForeignProfileUnreadable(SettingsInvalid):
    """A file to be imported as a profile is not of the format it is taken for."""

    release = Release.AGAIN
    next_step = "name a CTP anonymizer script or a deid recipe, with --format if need be"


class KeyUnusable(SettingsInvalid):
    """The pseudonym key is missing, too short or readable by others."""

    release = Release.AGAIN
    next_step = "create a key with `deid-node init`, and keep it readable by the node alone"


class SpoolKeyUnusable(KeyUnusable):
    """The spool was encrypted under another key than the settings name."""

    release = Release.AGAIN
    next_step = "name the key that it was written under in [spool] encrypt_key, or `keys rotate`"


class WeightsUnusable(DeidNodeError):
    """The face model's files are missing, damaged or not what their card says."""

    release = Release.AGAIN
    exit_code = 69
    next_step = "reinstall the weights, or name another model or device in [face]"


class ModelUnknown(WeightsUnusable):
    """No model of this name is at hand."""

    release = Release.AGAIN
    next_step = "look up its name with `deid-node weights list`, or bring it with `weights import`"

    def __init__(self, *, name: str) -> None:
        super().__init__(f"no imported model is called {name}")


class ModelNotExportable(WeightsUnusable):
    """An imported model has no counterpart in the form that is asked for."""

    release = Release.AGAIN
    next_step = "use the model here: `deid-node weights show NAME` tells what it is"


class ForeignModelRefused(DeidNodeError):
    """A model to be imported is broken, hostile, or of a kind that gives no mask here."""

    release = Release.AGAIN
    exit_code = 65
    next_step = "nothing was kept; name the folder or zip that its authors publish"
