"""What a stage may see of a config: the fields that it declares, so that its key can't lack one."""

from __future__ import annotations

from typing import Any

from videocap.pipeline.config import BaseConfig, fields


class View:
    """A frozen view of the config that shows only the declared fields; reading another raises AttributeError.

    `declared` holds fields ("train.lr") and whole sections ("train"). So what a stage reads and what is in its
    key can't differ.
    """

    def __init__(self, config: BaseConfig, declared: tuple[str, ...], reader: str):
        every = fields(type(config))
        self.__dict__.update(_reader=reader, _sections={})
        for name in declared:
            keys = [name] if name in every else [key for key in every if key.startswith(f"{name}.")]
            if not keys:
                raise TypeError(f"{reader} declares {name!r}, which is no field of the config")
            for key in keys:
                section, field = key.split(".")
                value = getattr(getattr(config, section), field)
                self._sections.setdefault(section, {})[field] = value

    def __getattr__(self, section: str) -> _SectionView:
        if section not in self._sections:
            raise AttributeError(f"{self._reader} reads config section {section!r}, which it does not declare")
        return _SectionView(section, self._sections[section], self._reader)

    def __setattr__(self, name: str, value: Any):
        raise AttributeError("a view of the config is frozen")

    def items(self) -> dict[str, Any]:
        """All declared fields and their values."""
        return {f"{s}.{f}": value for s, values in self._sections.items() for f, value in values.items()}


class _SectionView:
    def __init__(self, section: str, values: dict[str, Any], reader: str):
        self.__dict__.update(_section=section, _values=values, _reader=reader)

    def __getattr__(self, field: str) -> Any:
        if field.startswith("_") or field not in self._values:
            raise AttributeError(f"{self._reader} reads {self._section}.{field}, which it does not declare")
        return self._values[field]

    def items(self) -> dict[str, Any]:
        """The declared fields of the section and their values."""
        return dict(self._values)

    def __setattr__(self, name: str, value: Any):
        raise AttributeError("a view of the config is frozen")
