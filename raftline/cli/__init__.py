"""The commands of the command line, one file each."""

from raftline.own_packages import join

join()
