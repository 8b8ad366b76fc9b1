"""A number in a log line, as a metric filter finds it."""

from registry.log_lines import LogValue


def test_a_pattern_names_the_line_and_what_it_is_about_and_demands_the_number():
    value = LogValue(message="answered", field="seconds")
    assert value.pattern == '{ ($.message = "answered") && ($.seconds = *) }'
    named = LogValue(message="m", field="n", name="event").of(camera="gate", arm="new")
    assert named.about == (("camera", "gate"), ("arm", "new"))
    assert named.pattern == '{ ($.event = "m") && ($.camera = "gate") && ($.arm = "new") && ($.n = *) }'
    assert value.about == ()
