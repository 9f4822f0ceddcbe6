"""Reads presets: the built-in ones, and the administrator's own beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import yaml
from pydantic import ValidationError

from perfslo.core.preset import Preset
from perfslo.errors import ConfigurationError
from perfslo.settings import read_yaml


def load(own: Path | None = None) -> Mapping[str, Preset]:
    """Presets by name (the file's, without `.yaml`); one in the directory `own` replaces a built-in one of its name.

    Raises:
        ConfigurationError: a file cannot be read or does not fit; the message names file and field.
    """
    files = [*_yaml_files(resources.files("perfslo") / "presets")]
    if own is not None:
        if not own.is_dir():
            raise ConfigurationError(f"the presets' directory {own} does not exist")
        files += _yaml_files(own)
    return {file.name.removesuffix(".yaml"): _preset(file) for file in files}


def _yaml_files(directory: Traversable) -> Iterable[Traversable]:
    return sorted((file for file in directory.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)


def _preset(file: Traversable) -> Preset:
    try:
        return Preset.model_validate(read_yaml(file.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read the preset {file.name}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"the preset {file.name}: {problems}") from error
