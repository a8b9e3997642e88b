"""A table of the paper as a task: its rows are experiments, its files our figures beside the paper's."""

import luigi

from pipeline.config import ConfigError, parse_override
from pipeline.run.root import Root
from pipeline.run.sweep import Sweep
from videocap_config import CONFIGS, DEFAULT_CONFIG, Config


class WholeNumber(luigi.IntParameter):
    """An option whose error says what it wants."""

    def parse(self, text: str) -> int:
        try:
            return super().parse(text)
        except ValueError:
            raise ValueError(f"{text!r} is no whole number: {self.description}") from None


class PaperTable(Sweep):
    """The experiments of a table's rows, from configs/ablations, each with one or several seeds."""

    common, suffixes = "score.controls=[]", (".md", ".csv")
    config = luigi.Parameter(default=str(DEFAULT_CONFIG), description="the config file that its rows change")
    number = WholeNumber(default=0, description="of the table in the paper: 1 to 5")
    seeds = WholeNumber(default=1, description="trainings a row, each with a seed of its own")

    @property
    def table(self):
        from model.report.tables import Table as Rows

        try:
            return Rows.read(CONFIGS / "ablations" / f"table{self.number}.toml")
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def title(self) -> str:
        return f"table{self.number}"

    def file_name(self) -> str:
        return f"{self.name}-seeds{self.seeds}"

    def changes(self, base: Config) -> dict[str, str]:
        if self.number not in range(1, 6) or self.seeds < 1:
            raise ConfigError(f"--number is 1 to 5 and --seeds 1 or more, not {self.number} and {self.seeds}")
        rows = {row.name: row.override(base.encoder.weights == "toyclip") for row in self.table.rows if row.name}
        given, same = parse_override(self.override), parse_override(self.common)
        fixed = parse_override(" ".join(rows.values())) | {
            key: value for key, value in same.items() if given.get(key) != value
        }
        if clash := ", ".join(sorted(fixed.keys() & given.keys())):
            raise ConfigError(f"--override: {clash}: table {self.number} sets that itself; leave it out")
        return {
            f"{name}-seed{seed}": f"{override} train.seed={seed}"
            for name, override in rows.items()
            for seed in range(base.train.seed, base.train.seed + self.seeds)
        }

    def texts(self, done: dict[str, Root]) -> dict[str, str]:
        from extract.corpus.table import load_json
        from model.report.tables import as_csv, markdown

        found: dict[str, list[dict]] = {}
        for name, root in done.items():
            scores = load_json(root.last.payload() / "scores.json")
            found.setdefault(name.rpartition("-seed")[0], []).append(scores)
        data = self.experiments[0].config.data.kind + (f", with {self.override}" if self.override else "")
        return {".md": markdown(self.table, found, data), ".csv": as_csv(self.table, found)}
