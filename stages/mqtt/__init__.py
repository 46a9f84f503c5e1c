"""The stage `mqtt` and its parts."""

from stages.mqtt.stage import Mqtt

__all__ = ["Mqtt"]
