"""How a generated photo is drawn: the animal, the place it stands in, and the camera that sees both."""
