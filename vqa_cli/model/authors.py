"""What lies in the published files of VSFA and MDTVSFA, in our terms."""

from __future__ import annotations

from typing import Any

from vqa_cli.model.verdict import Calibration

# The code of VSFA divides MOS by the largest one of its training set.
_KONVID_LARGEST_MOS = 4.64
# The file has a line for LIVE-VQC ("N") too, but it is where training would have begun: these weights never learnt it.
_MDTVSFA_SETS = {"K": "KoNViD-1k", "C": "CVD2014", "L": "LIVE-Qualcomm"}
_MDTVSFA_NAMES = {
    "dimemsion_reduction": "ann.fc0",  # spelt so in the published file
    "feature_aggregation": "rnn",
    "regression": "q",
}


def head_state(name: str, state: dict[str, Any]) -> dict[str, Any]:
    """Published names to ours. VSFA's file carries a second layer that its forward pass never uses.

    Each model takes its own names alone: VSFA's scale means nothing for a head of MDTVSFA.
    """
    ours = _MDTVSFA_NAMES if name == "mdtvsfa" else {}
    named = {}
    for key, value in state.items():
        prefix, _, rest = key.partition(".")
        named[f"{ours.get(prefix, prefix)}.{rest}"] = value
    return {key: value for key, value in named.items() if key.startswith(("ann.fc0.", "rnn.", "q."))}


def calibration_in(name: str, state: dict[str, Any]) -> Calibration:
    """From pooled number to published score, by what is in the file.

    Raises:
        KeyError, RuntimeError, ValueError: it is of another model.
    """
    if name == "vsfa":
        return Calibration(gain=_KONVID_LARGEST_MOS)
    # sigmoid(x) -> linear -> sigmoid -> linear (identity in the published file) -> linear per training set.
    inner, outer = (float(state["nlm.2.weight"]), float(state["nlm.2.bias"]))
    sets = {
        key: (float(state[f"lm.{key}.weight"]) * inner, float(state[f"lm.{key}.weight"]) * outer + float(state[f"lm.{key}.bias"]))
        for key in _MDTVSFA_SETS
    }  # fmt: skip
    others = tuple((_MDTVSFA_SETS[key], *sets[key]) for key in sets)
    return Calibration(*sets["K"], bound=(float(state["nlm.0.weight"]), float(state["nlm.0.bias"])), others=others)
