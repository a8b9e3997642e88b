"""Packs: one in all processes that ask for the same items, made anew from its strings, done when these are there."""

import subprocess
import sys
from pathlib import Path

import pytest
from failures import RETRY, again, with_failures
from luigi.task_register import Register

from videocap import tasks
from videocap.pipeline.artifacts.publish import publish_json
from videocap.pipeline.stages.pack import Pack
from videocap.pipeline.stages.spec import Spec

NAMES = [f"video{number}.mp4" for number in range(4)]
PLAN = "plan.json"


@pytest.fixture
def folder(tmp_path, artifacts) -> Path:
    """Of an experiment of four videos in two packs, of which the first video failed."""
    gather, _ = with_failures(tmp_path, NAMES)
    items = sorted(gather.rows.items())
    publish_json(artifacts / PLAN, [items[:2], items[2:]])
    return tmp_path


def spec_of(folder: Path, override: str = "") -> Spec:
    """The spec as another run has it."""
    return tasks.FrameFeatures.of(again(folder, override)).spec


def pack_of(spec: Spec, number: int = 0) -> Pack:
    items = sorted(spec.gather.rows.items())
    return Pack.of(spec, PLAN, number, [items[:2], items[2:]][number])


ASK = """
import sys
from pathlib import Path
from test_pack import pack_of, spec_of
print(pack_of(spec_of(Path(sys.argv[1]))).task_id)
"""


def test_its_id_is_the_same_in_two_processes(folder):
    paths = [str(Path(__file__).parent), *sys.path]
    code = f"import sys; sys.path[:0] = {paths!r}{ASK}"
    asked = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == pack_of(spec_of(folder)).task_id


def test_other_items_another_retry_number_or_another_spec_are_another_pack(folder):
    spec = spec_of(folder)
    retried, other = spec_of(folder, "decode.retry_failed=1"), spec_of(folder, "decode.frames=7")
    packs = [pack_of(spec), pack_of(spec, 1), pack_of(retried), pack_of(other), pack_of(tasks.DecodeShard.of(spec))]
    assert len({pack.task_id for pack in packs}) == len(packs)


def test_the_order_of_items_and_the_plan_that_they_are_in_do_not_count(folder):
    spec = spec_of(folder)
    items = sorted(spec.gather.rows.items())[:2]
    assert Pack.of(spec, "another.json", 7, items[::-1]).task_id == pack_of(spec).task_id


def test_luigi_makes_it_anew_from_its_strings(folder):
    pack = pack_of(spec_of(folder), 1)
    Register.clear_instance_cache()
    anew = Pack.from_str_params(pack.to_str_params())
    assert anew is not pack
    assert anew == pack
    assert (anew.plan, anew.number, anew.items) == (pack.plan, pack.number, pack.items)
    assert anew.items == sorted(pack.spec.gather.rows.items())[2:]
    assert anew.experiment is pack.experiment
    assert anew.spec is pack.spec


def test_it_is_complete_when_its_items_are_covered_by_whatever_shards(folder):
    assert all(pack_of(spec_of(folder), number).complete() for number in (0, 1))
    later = spec_of(folder, f"decode.retry_failed={RETRY + 1}")
    assert [pack_of(later, number).complete() for number in (0, 1)] == [False, True], "the first video failed before"


def test_what_is_to_be_computed_needs_the_shard_that_it_is_computed_from(folder):
    assert [type(task) for task in pack_of(spec_of(folder)).requires()] == []
    later = spec_of(folder, f"decode.retry_failed={RETRY + 1}")
    (before,) = pack_of(later).requires()
    assert (before.spec, before.items) == (tasks.DecodeShard.of(later), pack_of(later).items)


def test_a_plan_that_is_gone_or_damaged_is_named(folder, artifacts):
    pack = pack_of(spec_of(folder))
    (artifacts / PLAN).write_text("[[[1")
    with pytest.raises(ValueError, match=r"the plan plan\.json is gone or damaged; run the same command again"):
        _ = pack.items
