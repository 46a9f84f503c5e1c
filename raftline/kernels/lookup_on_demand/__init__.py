"""The correlation lookup without a volume."""

from raftline.kernels.lookup_on_demand.wrapper import lookup_on_demand, room_for_windows, supports

__all__ = ["lookup_on_demand", "room_for_windows", "supports"]
