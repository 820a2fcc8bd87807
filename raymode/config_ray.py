"""Reads the keys `ray.*`: which nodes each part of the work is kept to, and what needs no worker of its own."""

import dataclasses
import re

from raymode.config import PLACES, Config, RayConfig
from raymode.errors import ConfigError

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:{_NAME}/)?{_NAME}")
_VALUE = re.compile(_NAME)
"""As Ray and Kubernetes have labels; Ray's operators (in, !) are left out, so that waiting can be told from the nodes."""


def labels_of(config: RayConfig) -> dict[str, dict[str, str]]:
    """Return for each place of `ray.labels` the labels, key to value, that its nodes must have, all of them.

    Raises ConfigError for an unknown place, a label that Ray would refuse, or a key with two values.
    """
    found: dict[str, dict[str, str]] = {}
    for text in config.labels:
        place, _, label = text.partition(":")
        if place not in PLACES:
            raise ConfigError(
                f"ray.labels: {place!r} must be one of {', '.join(map(repr, PLACES))}, or one of them with a label,"
                " such as train:pool=a100"
            )
        key, _, value = (label or f"raymode/{place}=true").partition("=")
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise ConfigError(
                f"ray.labels: {text!r} names no label; give {place} alone or {place}:KEY=VALUE, with letters, digits,"
                " dots, dashes and underscores, 63 at most"
            )
        if found.setdefault(place, {}).setdefault(key, value) != value:
            raise ConfigError(f"ray.labels: {place} asks for two values of {key}; give one")
    return found


IN_PROCESS = ("auto", "always", "never")


def is_in_process(config: Config) -> bool:
    """Return whether the stages do their work in the process that calls them."""
    return config.ray.in_process == "always"


def as_trial(config: Config) -> Config:
    """Return `config` for the process of a trial, which does the work itself if that needs one CPU and nothing else.

    Tune keeps the process for the next trial, which need not start Python, torch and vLLM again.
    """
    if config.ray.in_process != "auto" or too_much(config):
        return config
    ray = dataclasses.replace(config.ray, in_process="always")
    return dataclasses.replace(config, ray=ray)


def too_much(config: Config) -> str:
    """Return the key because of which one process with one CPU cannot do the work; "" if it can."""
    train, sample = config.train, config.sample
    needs = {
        "train.workers": train.workers > 1,
        "train.min_workers": train.min_workers > 0,
        "train.gpu": train.gpu,
        "train.compile": train.compile,  # an engine on a CPU switches compiling off, for its whole process
        "sample.engines": sample.engines > 1,
        "sample.gpu_per_engine": sample.gpu_per_engine > 0,
        "score.actors": config.score.actors > 1,
        "ray.labels": bool(config.ray.labels),
    }
    return next((name for name, is_too_much in needs.items() if is_too_much), "")


def check_in_process(config: Config) -> None:
    """Raise ConfigError for `ray.in_process=always` with more than one process can do."""
    if config.ray.in_process not in IN_PROCESS:
        raise ConfigError(
            f"ray.in_process: {config.ray.in_process!r} must be one of {', '.join(map(repr, IN_PROCESS))}"
        )
    name = too_much(config)
    if is_in_process(config) and name:
        raise ConfigError(
            f"ray.in_process=always: {name} asks for more than this process; leave it out, or set ray.in_process=auto"
        )
