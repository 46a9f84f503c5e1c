"""Languages of tracks in QuickTime files, which number them."""

QUICKTIME_LANGUAGES = {
    "bod": "tib",
    "cym": "wel",
    "cze": "ces",
    "deu": "ger",
    "ell": "gre",
    "eus": "baq",
    "fao": "fo ",
    "fre": "fra",
    "hrv": "hr ",
    "hye": "arm",
    "isl": "ice",
    "kat": "geo",
    "mkd": "mac",
    "msa": "may",
    "mya": "bur",
    "nld": "dut",
    "pan": "pa ",
    "rum": "ron",
    "slo": "slk",
    "sqi": "alb",
    "srp": "sr ",
    "swe": "sve",
    "zho": "chi",
}
"""ISO 639-2 codes to those under which FFmpeg knows QuickTime's numbers, where they differ."""
