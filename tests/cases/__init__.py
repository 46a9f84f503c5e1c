"""Faults that real files and scenes brought to light, a recipe a file.

A case is a module ``test_<what was wrong>.py`` of this folder. It makes its input itself, small (64x48 to 160x120 px, a
dozen frames), runs what was at fault, and holds the right value. `film` makes files with tracks of any kind,
`copied` takes one from the decoder to the writer, so that the next case takes ten lines:

    def test_the_name_of_a_track_survives(tmp_path):
        source = film(tmp_path / "in.mkv", sounds=[Sound(title="Director")])
        assert tracks(copied(source, tmp_path / "out").path, "audio")[0].title == "Director"

Scenes have recipes as well: `lights` for a camera that stands under light that changes, `walks` for what goes and
stands by turns, `views` for cuts and what looks like one, `tests.stages.shaken_clip` for a camera that shakes:

    def test_a_lamp_that_flickers_is_no_event():
        flickers = [Light(1, (gain, gain)) for gain in (1.0, 1.3) * 10]
        assert events_begin(lit([Light(35), *flickers], walks=False)) == []
"""
