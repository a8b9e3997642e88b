"""The subset of METEOR's paraphrases scores as the whole table does, whatever references and captions hold."""

import json

import pytest

from videocap.model.scores.meteor import PARAPHRASES, Meteor
from videocap.model.scores.paraphrases import write_subset

ODD = [
    "A Man's t-shirt COSTS $1.50, isn't it?",
    "the people DON'T agree: at all!",
    "rock-n-roll, in the u.s.a.",
    "“so”",
    "a per|||son",
    "",
]


@pytest.mark.slow
def test_a_subset_scores_as_the_whole_table(data, meteor, tmp_path):
    tree = json.loads((data / "msrvtt/val.json").read_text(encoding="utf-8"))
    rows = [list(tree[name].values()) for name in sorted(tree)[:150]]
    captions = (
        [row[0] for row in rows]
        + ODD
        + ["do not think about it", "an individual is not in agreement", "per cent", "an individual"]
    )
    references = [row[1:] for row in rows[1:] + rows[:1]] + [ODD] * 10
    write_subset((text for group in references for text in group), tmp_path / "subset.gz")
    assert (tmp_path / "subset.gz").stat().st_size < PARAPHRASES.stat().st_size / 10
    with Meteor(tmp_path / "subset.gz") as subset:
        found = subset.score(captions, references)
    assert found == meteor.score(captions, references)
    paraphrased = sum(counts[16] + counts[18] for counts in found[2])
    assert paraphrased > 50, "nothing was tried otherwise"
