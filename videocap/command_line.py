"""`videocap`: its commands and their options, mistakes as one line, exit status. Each command has a file of its own."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path

FORMATS = ("text", "jsonl", "json", "coco", "csv", "srt", "vtt")  # of captions, see captioned.py
DEFAULT_CONFIG = Path(__file__).parent.joinpath("configs", "demo.toml").resolve()


def parser() -> argparse.ArgumentParser:
    """The commands, each with the `module:function` that runs it as `run`: only that one is loaded."""
    parser = argparse.ArgumentParser(prog="videocap", description="The pipeline's command line.")
    parser.add_argument("--version", action="version", version=f"clip4videocap {metadata.version('clip4videocap')}")
    commands = parser.add_subparsers(dest="command", required=True)
    of_config = argparse.ArgumentParser(add_help=False)
    of_config.add_argument("--config", default=str(DEFAULT_CONFIG), help="the experiment's config file")
    of_override = argparse.ArgumentParser(add_help=False, parents=[of_config])
    of_override.add_argument("--override", default="", help='changes to it: "train.epochs=3 fusion.block=conv1d"')
    for_programs = argparse.ArgumentParser(add_help=False)
    for_programs.add_argument("--json", action="store_true", help="for programs")
    of_experiment = [of_override, for_programs]

    command = commands.add_parser("init", help="write a config for your videos and captions; say what is missing")
    command.add_argument("folder", type=Path, metavar="FOLDER", help="where they are, or in folders in it")
    command.add_argument("--output", type=Path, metavar="FILE", help="the config; by default FOLDER/videocap.toml")
    command.set_defaults(run="init:init")
    about = "run the pipeline, as `luigi --module videocap.tasks Pipeline` does; further options are Luigi's"
    command = commands.add_parser("run", parents=[of_override], help=about, description=about)
    command.add_argument("--workers", type=int, metavar="N", help="processes that run stages side by side")
    command.set_defaults(run="run:run")
    command = commands.add_parser("status", parents=of_experiment, help="what a run would do, stage by stage")
    command.set_defaults(run="status:show_status")
    command = commands.add_parser("why", parents=of_experiment, help="why a stage is stale, field by field")
    command.add_argument("stage", metavar="STAGE", help="as `status` calls it")
    command.set_defaults(run="status:show_why")
    command = commands.add_parser("caption", parents=of_experiment, help="caption any videos by the trained model")
    command.add_argument("videos", nargs="+", metavar="VIDEO", help="a file, or a folder for all videos below it")
    command.add_argument("--frames", type=Path, metavar="FOLDER", help="put a picture of each one's frames there")
    _add_model(command)
    command.add_argument("--format", choices=FORMATS, default="text", help="of what is written; by default %(default)s")
    command.add_argument("--output", type=Path, metavar="FILE", help="where to, but for standard output")
    parts = command.add_mutually_exclusive_group()
    parts.add_argument("--every", type=seconds, metavar="10s", help="caption parts of this length, one by one")
    about = "caption scene by scene, as far as key frames tell them"
    parts.add_argument("--scenes", dest="every", action="store_const", const="scenes", help=about)
    command.add_argument(
        "--nbest", type=positive, default=1, metavar="K", help="tell K captions, and how likely they are"
    )
    command.add_argument("--beam", type=positive, metavar="N", help="of the search, if not the model's own")
    command.add_argument("--sample", action="store_true", help="draw captions word by word, in place of a search")
    command.add_argument(
        "--temperature", type=float, metavar="T", help="of samples: below 1, likely words are likelier"
    )
    command.add_argument("--top-p", type=float, metavar="P", help="of samples: only the likeliest words, together P")
    command.add_argument("--seed", type=int, metavar="N", help="of samples")
    command.set_defaults(run="caption:caption")
    command = commands.add_parser("demo", parents=[of_override], help="a page on this machine to try a captioner")
    _add_model(command)
    command.add_argument("--host", default="127.0.0.1", help="the address it answers at; by default only this machine")
    command.add_argument("--port", type=int, default=7860, help="0 for any that is free")
    command.add_argument("--megabytes", type=float, default=200, help="that a video may have")
    command.add_argument("--minutes", type=float, default=10, help="that it may be long")
    command.set_defaults(run="demo:demo")
    about = "write an experiment's captioner as a folder that needs nothing else"
    command = commands.add_parser("export-model", parents=[of_override], help=about)
    command.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="a name in runs/; else the config's")
    command.add_argument("folder", type=Path, metavar="FOLDER", help="to be made")
    command.add_argument("--with-encoder", action="store_true", help="let the encoder's weights go along")
    command.set_defaults(run="export:export_model")
    command = commands.add_parser("pull-model", help="copy an experiment's captioner from where others push theirs")
    command.add_argument("place", metavar="URL", help="a folder, s3://bucket/folder, or what else fsspec opens")
    command.add_argument("folder", type=Path, metavar="FOLDER", help="to be made")
    command.add_argument("--experiment", metavar="NAME", help="whose, if several are there")
    command.set_defaults(run="share:pull_model")
    of_store = commands.add_parser("store", help="the stores of features, and the folder they are in")
    _add_store_commands(of_store.add_subparsers(dest="of", required=True), of_config, of_override, for_programs)
    about = "two experiments: scores, how sure they differ, and in which videos"
    command = commands.add_parser("compare", parents=[for_programs], help=about)
    command.add_argument("experiments", nargs=2, metavar="EXPERIMENT", help="a name in runs/, or a folder of results")
    command.add_argument("--config", default=str(DEFAULT_CONFIG), help="the config that names the artifacts folder")
    command.add_argument("--metric", default="CIDEr", help="by which videos differ, as scores.json calls it")
    command.add_argument("--videos", type=count, default=10, help="how many of them to show")
    command.set_defaults(run="compare:show_comparison")
    command = commands.add_parser("score", parents=[for_programs], help="score any captions against references")
    about = 'JSON: [{"video_id": …, "caption": …}], {"result": such a list} or {video_id: caption}'
    command.add_argument("captions", type=Path, help=about)
    about = "JSON: {video_id: [caption, …]}, or annotations such as MSR-VTT's"
    command.add_argument("references", type=Path, help=about)
    command.add_argument("--split", type=Path, nargs="+", default=(), help="lists of ids, as data.split (1k-A's, say)")
    command.add_argument("--protocol", choices=("coco", "v2c"), default="coco")
    command.set_defaults(run="score:show_scores")
    return parser


def _add_model(command: argparse.ArgumentParser) -> None:
    """Add the options that name a captioner's folder."""
    about = "the captioner: a folder as export-model writes it, or a hub's org/name; no config is read then"
    command.add_argument("--model", metavar="FOLDER", help=about)
    command.add_argument("--revision", help="of a hub's repository: a branch, tag or commit")
    command.add_argument("--device", help="for --model: auto, cpu, cuda, cuda:1 …")
    command.add_argument("--encoder", type=Path, metavar="FILE", help="for --model: its encoder's checkpoint")


def _add_store_commands(commands: argparse._SubParsersAction, *of: argparse.ArgumentParser) -> None:
    """Add `videocap store …`; `of` are the parsers of --config, of this and --override, and of --json."""
    of_config, of_override, for_programs = of
    of_stores = argparse.ArgumentParser(add_help=False, parents=[of_config, for_programs])
    of_stores.add_argument("folders", nargs="*", metavar="STORE", help="a folder, or a name that ls tells; else all")
    command = commands.add_parser("ls", parents=[of_stores], help="what stores there are, and who made them how")
    command.set_defaults(run="store:list_stores")
    command = commands.add_parser("verify", parents=[of_stores], help="check every shard; exit status 1 if one is bad")
    command.add_argument("--recompute", type=count, default=0, metavar="N", help="make N items of each again, too")
    command.add_argument("--override", default="", help="changes to the config, for --recompute")
    command.set_defaults(run="store:verify_stores")
    of_place = argparse.ArgumentParser(add_help=False, parents=[of_override, for_programs])
    of_place.add_argument("place", metavar="URL", help="a folder, s3://bucket/folder, or what else fsspec opens")
    of_place.add_argument("--stages", nargs="+", default=(), metavar="STAGE", help="by default all features")
    of_place.add_argument("--dry-run", action="store_true", help="only say what would travel")
    about = "copy features, or other results, to where others are"
    command = commands.add_parser("push", parents=[of_place], help=about)
    command.set_defaults(run="share:push")
    command = commands.add_parser("pull", parents=[of_place], help="copy from there what is lacking here, checked")
    command.set_defaults(run="share:pull")
    command = commands.add_parser("export", parents=[of_config], help="write features in the formats of other code")
    command.add_argument("folders", nargs=1, metavar="STORE", help="a folder, or a name that ls tells")
    command.add_argument("place", type=Path, metavar="PLACE", help="FILE.hdf5, or a folder for an .npy file a video")
    command.set_defaults(run="export:export_store")
    command = commands.add_parser("import", parents=[of_config], help="make a store of features that other code wrote")
    command.add_argument("source", type=Path, metavar="PLACE", help="an HDF5 file, or a folder of .npy files")
    command.add_argument("--name", required=True, help="what to call them, as data.features in a config")
    command.set_defaults(run="export:import_features")
    command = commands.add_parser("gc", parents=[of_config], help="list what no experiment and no running job needs")
    command.add_argument("--delete", action="store_true", help="delete it")
    command.set_defaults(run="store:collect_garbage")


def count(text: str) -> int:
    """A number on the command line; argparse tells a person of what is none."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of items")
    return int(text)


def positive(text: str) -> int:
    """A number of at least one."""
    if not count(text):
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return int(text)


def seconds(text: str) -> float:
    """A length of time on the command line: 10, 10s, 1.5m."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text)
    value = float(match[1]) * {"m": 60, "h": 3600}.get(match[2], 1) if match else 0.0
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time: 10s, say, or 1m")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    chosen, further = parser().parse_known_args(arguments)
    if further and chosen.command != "run":
        parser().error(f"unrecognized arguments: {' '.join(further)}")
    chosen.further = further
    sys.stdout.reconfigure(errors="backslashreplace")  # captions may hold letters that a terminal can't show
    try:
        module, _, function = chosen.run.partition(":")
        status = getattr(import_module(f"videocap.{module}"), function)(chosen)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as by `| head`: whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python writes the rest, as it ends
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        if chosen.command == "run":  # which has last lines of its own, and a status for each signal
            raise
        print("stopped", file=sys.stderr)
        return 130
    except (ValueError, RuntimeError, OSError) as error:  # a ConfigError is a ValueError
        from videocap.pipeline.words import printable

        print("\n".join(map(printable, str(error).split("\n"))), file=sys.stderr)  # it may quote a stranger's file
        return 2
