"""What was assumed of a user's model is said in words that name every number."""

from purecert.export.own_choices import image_choices


def test_defaults_are_said_too() -> None:
    assert image_choices((0.0, 1.0), None, None, (32, 32), None) == (
        "input range: pixels 0 and 255 become 0 and 1",
        "mean: none is subtracted",
        "std: nothing is divided by one",
        "resize: none",
    )


def test_numbers_and_a_resize_are_said() -> None:
    assert image_choices((-1.0, 1.0), (0.485, 0.5), (0.25, 1.0), (32, 48), 32)[1:] == (
        "mean: 0.485,0.5",
        "std: 0.25,1",
        "resize: bilinear, without antialias, from 32 x 48 pixels to 32 x 32",
    )
    assert image_choices((0.0, 1.0), None, None, (32, 32), 32)[3] == "resize: none"
