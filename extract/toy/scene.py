"""What happens in each clip of the toy world, the words that tell it, and whether a caption tells it right.

Each event but `push` has its reverse in time among the events: `grow` and `shrink` are each other's, `roll`, `jump` and
`vanish` their own. So a clip of A and then B holds the same frames as one of reversed B and then reversed A: a model
that ignores time cannot know their order, nor whether it saw `grow` or `shrink`.

Beside the event there are a sign in the sky and a lamp, which may be switched. No caption speaks of them: intention and
effect do, so that whoever writes these has seen what no caption says.
"""

from __future__ import annotations

import random
from itertools import permutations
from typing import TypedDict

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("ball", "ring", "star")
EVENTS = ("roll", "grow", "shrink", "jump", "push", "vanish")
ACTORS = [(colour, shape) for colour in COLOURS for shape in SHAPES]

# One after the other would be the same backwards, hence known without time.
_UNDONE = {"grow", "shrink"}

_VERBS = {
    "roll": ("rolls along", "rolls away"),
    "grow": ("grows", "gets bigger"),
    "shrink": ("shrinks", "gets smaller"),
    "jump": ("jumps", "hops"),
    "push": ("pushes the block", "shoves the block"),
    "vanish": ("vanishes for a moment", "disappears for a moment"),
}
# The word by which a caption is judged: one a phrase, each of one event only.
_EVENT_OF = {
    "rolls": "roll",
    "grows": "grow",
    "bigger": "grow",
    "shrinks": "shrink",
    "smaller": "shrink",
    "jumps": "jump",
    "hops": "jump",
    "pushes": "push",
    "shoves": "push",
    "vanishes": "vanish",
    "disappears": "vanish",
}
_TEMPLATES = {
    1: (
        "a {actor} {0}",
        "the {actor} {0}",
        "there is a {actor} that {0}",
        "here a {actor} {0}",
        "a {actor} {0} and that is all",
    ),
    2: (
        "a {actor} {0} and then {1}",
        "the {actor} {0} and then {1}",
        "there is a {actor} that {0} and then {1}",
        "first a {actor} {0} and then it {1}",
        "a {actor} {0} before it {1}",
    ),
}
# What no caption says: the sign in the sky tells the intention, how the lamp is left tells the effect.
SKIES = ("sun", "moon", "cloud")
LAMPS = ("on", "off")
_INTENTION = {
    "sun": ("to enjoy the sun", "to make use of the day"),
    "moon": ("to be home before night", "to be seen by no one in the dark"),
    "cloud": ("to be home before the rain", "to stay out of the rain"),
}
_EFFECT = {
    "on": ("the lamp is on", "it is light now"),
    "off": ("the lamp is out", "there is no light now"),
}
_ATTRIBUTE = {
    "roll": ("restless", "curious"),
    "grow": ("proud", "bold"),
    "shrink": ("shy", "modest"),
    "jump": ("lively", "energetic"),
    "push": ("strong", "pushy"),
    "vanish": ("secretive", "playful"),
}


class Scene(TypedDict):
    """The truth about a clip, one line of `scenes.jsonl`."""

    video: str
    """File name."""
    split: str
    """`train`, `val` or `test`."""
    colour: str
    """Of the actor."""
    shape: str
    """Of the actor."""
    events: list[str]
    """One or two of `EVENTS`, in order."""
    sky: str
    """One of `SKIES`."""
    lamp: list[str]
    """How the lamp is at first and at last, of `LAMPS`."""
    seen: bool
    """False where one of the events is one that train and val never show this actor in."""


def held_out(colour: str, shape: str) -> str:
    """The event that train and val never show this actor in; they show it in others of its colour and of its shape."""
    return EVENTS[(COLOURS.index(colour) + 2 * SHAPES.index(shape)) % len(EVENTS)]


def scenes(clips: int, seed: int) -> list[Scene]:
    """Draw the scenes of `clips` clips: about 75 % train, 10 % val, 15 % test; half of test unseen, half of one event.

    Raises:
        ValueError: fewer than 20 clips, which would leave a split without some kind of clip.
    """
    if clips < 20:
        raise ValueError(f"the toy world needs at least 20 clips, not {clips}")
    rng = random.Random(f"scenes {seed}")
    val, test = round(0.1 * clips), max(4, round(0.15 * clips))
    unseen = test // 2
    groups = {("train", True): clips - val - test, ("val", True): val}
    groups |= {("test", True): test - unseen, ("test", False): unseen}
    drawn = []
    for (split, seen), size in groups.items():
        for i in range(size):
            colour, shape = rng.choice(ACTORS)
            out = held_out(colour, shape)
            orders = [order for order in permutations(EVENTS, 1 + i % 2) if set(order) != _UNDONE]
            events = list(rng.choice([order for order in orders if (out not in order) == seen]))
            hidden = {"sky": rng.choice(SKIES), "lamp": [rng.choice(LAMPS), rng.choice(LAMPS)]}
            told = {"colour": colour, "shape": shape, "events": events}
            drawn.append(Scene(video="", split=split, **told, **hidden, seen=seen))
    rng.shuffle(drawn)
    return [{**scene, "video": f"clip{i:04d}.mp4"} for i, scene in enumerate(drawn)]


def describe(scene: Scene, seed: int) -> list[dict[str, str]]:
    """Five lines of `captions.jsonl` for a clip: a caption of every template, each with an intention and an effect,
    which only the frames tell, and an attribute, which the caption tells, too (of one of its events).
    """
    rng = random.Random(f"words {seed} {scene['video']}")
    lines = []
    for template in _TEMPLATES[len(scene["events"])]:
        verbs = [rng.choice(_VERBS[event]) for event in scene["events"]]
        lines.append(
            {
                "video": scene["video"],
                "split": scene["split"],
                "caption": template.format(*verbs, actor=f"{scene['colour']} {scene['shape']}"),
                "intention": rng.choice(_INTENTION[scene["sky"]]),
                "effect": rng.choice(_EFFECT[scene["lamp"][1]]),
                "attribute": rng.choice(_ATTRIBUTE[rng.choice(scene["events"])]),
            }
        )
    return lines


def judge(caption: str, scene: Scene) -> dict[str, bool]:
    """Whether a caption tells a scene right, whatever its wording.

    Returns:
        `actor`: it names this colour and shape and no other; `events`: just these events; `order`: these in this order
        (for one event the same as `events`); `all`: actor and order.
    """
    words = "".join(c if c.isalpha() else " " for c in caption.lower()).split()
    colours = {word for word in words if word in COLOURS}
    shapes = {word for word in words if word in SHAPES}
    told = [_EVENT_OF[word] for word in words if word in _EVENT_OF]
    actor = colours == {scene["colour"]} and shapes == {scene["shape"]}
    order = told == list(scene["events"])
    return {"actor": actor, "events": sorted(told) == sorted(scene["events"]), "order": order, "all": actor and order}


def judge_aspect(aspect: str, text: str, scene: Scene) -> bool:
    """Whether an intention, effect or attribute is one that a scene has, word for word."""
    phrases = {
        "intention": _INTENTION[scene["sky"]],
        "effect": _EFFECT[scene["lamp"][1]],
        "attribute": [phrase for event in scene["events"] for phrase in _ATTRIBUTE[event]],
    }
    return " ".join(text.lower().split()) in phrases[aspect]
