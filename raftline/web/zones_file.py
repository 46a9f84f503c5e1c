"""The zones of a camera in the run's configuration: read, and saved by the same checks, with its comments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pipeline.config.yaml_file import read_configuration
from pipeline.errors import ConfigError
from raftline.web.run_file import RunFile

_PLUGINS = ("motion_mask", "stages.motion_mask:MotionMask")
"""The stage that takes zones, as a configuration names it."""
_DIGITS = 4
"""Of a corner's coordinates: a third of a pixel in 4K."""
_MOST_ZONES, _MOST_CORNERS = 50, 100


class ZoneShown(BaseModel):
    """A zone of one camera."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")
    corners: list[tuple[float, float]] = Field(
        min_length=3, max_length=_MOST_CORNERS, description="in shares of the frame, 0-1"
    )
    does: Literal["watch", "ignore", "tell"] = "tell"
    slowest_px_s: float = Field(0.0, ge=0)
    fastest_px_s: float | None = Field(None, gt=0)
    direction_degrees: float | None = Field(None, ge=0, lt=360, description="0 right, 90 down, 180 left, 270 up")
    direction_within_degrees: float = Field(45.0, gt=0, le=180)


class ZonesGiven(BaseModel):
    """All zones of a camera."""

    zones: list[ZoneShown] = Field(max_length=_MOST_ZONES)


class ZonesShown(ZonesGiven):
    """All zones of a camera, and whether they can be changed."""

    why_not: str = Field(description="why they cannot be changed here; empty: they can")


class ZonesFile:
    """The file of the run that the page watches."""

    def __init__(self, file: RunFile) -> None:
        self._file = file

    def read(self, source: str) -> ZonesShown:
        """The zones of a source."""
        try:
            document = read_configuration(self._file.path())
            found = (_stage(document).get("options") or {}).get("zones") or {}
            zones = [ZoneShown(name=name, **zone) for name, zone in (found.get(source) or {}).items()]
        except ConfigError as error:
            return ZonesShown(zones=[], why_not=str(error))
        except (TypeError, ValueError, AttributeError):
            return ZonesShown(zones=[], why_not="the zones in the configuration are wrong; raftline validate says how")
        return ZonesShown(zones=zones, why_not="")

    def save(self, source: str, zones: list[ZoneShown]) -> None:
        """Save all zones of a source. Raises `ConfigError` where the file cannot be changed, or would be wrong."""
        names = [zone.name for zone in zones]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ConfigError(f"two zones are called {twice!r}; give each a name of its own")
        self._file.change(lambda document: _put(document, source, zones))


def _stage(document: Mapping[str, Any]) -> Any:
    for section in (document.get("stages") or {}).values():
        if isinstance(section, Mapping) and section.get("use") in _PLUGINS:
            return section
    raise ConfigError(f"no stage of this run takes zones; add one with use: {_PLUGINS[1]}")


def _put(document: Any, source: str, zones: list[ZoneShown]) -> None:
    section = _stage(document)
    if section.get("options") is None:
        section["options"] = CommentedMap()
    options = section["options"]
    if not options.get("zones"):
        options.pop("zones", None)
        options.insert(0, "zones", CommentedMap())  # behind the last key stand the comments of what follows
    kept = options["zones"].setdefault(source, CommentedMap())
    for name in [name for name in kept if name not in {zone.name for zone in zones}]:
        del kept[name]
    for zone in zones:
        _put_zone(kept.setdefault(zone.name, CommentedMap()), zone)
    if not kept:
        del options["zones"][source]


def _put_zone(section: Any, zone: ZoneShown) -> None:
    corners = CommentedSeq([round(x, _DIGITS), round(y, _DIGITS)] for x, y in zone.corners)
    corners.fa.set_flow_style()
    values = {**zone.model_dump(exclude={"name", "corners"}), "corners": corners}
    for name, field in ZoneShown.model_fields.items():
        if name == "name":
            continue
        if values[name] == field.default and name != "does":
            section.pop(name, None)
        elif name != "corners" or [list(corner) for corner in section.get(name, [])] != [list(c) for c in corners]:
            section[name] = values[name]
