"""Scenes of the toy world, and captions of which some are right."""

SCENES = {
    "a": {"colour": "red", "shape": "ball", "events": ["jump"], "sky": "sun", "lamp": ["on", "off"], "seen": True},
    "b": {
        "colour": "red",
        "shape": "ring",
        "events": ["jump", "roll"],
        "sky": "moon",
        "lamp": ["on", "on"],
        "seen": True,
    },
    "c": {
        "colour": "blue",
        "shape": "ball",
        "events": ["roll", "jump"],
        "sky": "cloud",
        "lamp": ["off", "on"],
        "seen": True,
    },
    "d": {"colour": "blue", "shape": "star", "events": ["grow"], "sky": "sun", "lamp": ["off", "off"], "seen": True},
    "e": {
        "colour": "blue",
        "shape": "star",
        "events": ["push", "grow"],
        "sky": "moon",
        "lamp": ["on", "off"],
        "seen": False,
    },
}


CAPTIONS = {
    "a": "a red ball hops",  # all of it
    "b": "a red ring rolls away and then jumps",  # not the order
    "c": "a red ball rolls along and then hops",  # not the actor
    "d": "a blue star shrinks",  # the actor only
    "e": "a blue star pushes the block and then grows",
}
