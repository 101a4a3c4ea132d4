"""Families: runs that go wrong together. Two of one family are one opinion, whatever their seeds."""

from __future__ import annotations

import json
import re
from functools import lru_cache

BLEND, OWN_CODE = "blend", "own code"


@lru_cache(maxsize=20_000)
def family_of(kind: str, spec_json: str) -> str:
    """`resnet`, `efficientnet arcface`, `blend` or `own code`: the kind of backbone, with the head that is not the usual one."""
    if kind == "blend":
        return BLEND
    if kind != "train":
        return OWN_CODE
    try:
        spec = json.loads(spec_json)
        backbone, head = str(spec["backbone"]), str(spec.get("head", "linear"))
    except (ValueError, LookupError, TypeError):
        return OWN_CODE
    stem = re.match(r"(?:tf_|gluon_|legacy_|test_|ig_|ssl_|swsl_)*([a-z]+?(?:_?v\d+)?)(?=[\d_.]|$)", backbone.lower())
    name = stem.group(1) if stem else backbone
    return name if head == "linear" else f"{name} {head}"
