"""Camera motion from dense flow and from the frames themselves: pure functions of arrays.

Coordinates are pixels with (0, 0) at the centre of the top left pixel, x right, y down. A matrix is 3x3 float64,
acts on columns (x, y, 1), and maps px of an earlier frame to px of a later one, or of an original to a corrected one.
"""
