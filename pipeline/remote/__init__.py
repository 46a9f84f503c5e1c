"""Files of object stores and SFTP servers, by URL: found, read in place or fetched, and written whole.

`fsspec` and the package of each kind of store are imported when a URL of that kind is used.
"""
