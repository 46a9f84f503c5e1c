"""The commands of the command line, one file each, or one folder."""

from raftline.own_packages import join

join()
