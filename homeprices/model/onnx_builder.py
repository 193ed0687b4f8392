"""Write an ONNX graph operator by operator, with as few operators as possible.

For one home, the arithmetic is negligible; each call of an operator costs about 0.3 microseconds. So an operator that
is added twice is computed once, and all numbers learned for a text come from a single lookup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

# The oldest opset with every operator used here, so that older ONNX readers can open a bundle.
OPSET, ML_OPSET, IR_VERSION = 18, 3, 8

# An ONNX lookup must have at least one key. Serving rejects texts with these characters.
_NOTHING, _ANY_OTHER = "\x00", "\x01"


# The attributes of ONNX's operator for trees, by name.
Ensemble = dict[str, Any]


class OnnxBuilder:
    """Collects inputs, constants and operators.

    Every tensor is [N, width] unless it is a constant. `vocabularies` are the known values of each text input, in the
    order of their indices.
    """

    def __init__(self, vocabularies: Mapping[str, Sequence[str]]) -> None:
        self._vocabularies = vocabularies
        self._inputs: dict[str, int] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._made: dict[bytes, str] = {}
        self._count = 0

    def number(self, name: str) -> str:
        """Add a float32 input [N, 1] of this name."""
        self._inputs[name] = TensorProto.FLOAT
        return name

    def text(self, name: str) -> str:
        """Add a string input [N, 1] of this name."""
        self._inputs[name] = TensorProto.STRING
        return name

    def constant(self, value: float) -> str:
        """Add a float32 scalar as an array of one element, and return its name."""
        return self._constant(np.array([value], dtype=np.float32))

    def array(self, values: npt.NDArray[Any]) -> str:
        """Add an array without changes, and return its name."""
        return self._constant(values)

    def shape(self, *sizes: int) -> str:
        """Add a shape (for Reshape) or axes, and return its name."""
        return self._constant(np.array(sizes, dtype=np.int64))

    def add(self, operator: str, sources: list[str], *, domain: str = "", **attributes: Any) -> str:
        """Add an operator and return the name of its only output.

        Equal operators on the same tensors are added once.
        """
        node = helper.make_node(operator, sources, [], domain=domain, **attributes)
        key = node.SerializeToString(deterministic=True)
        if key not in self._made:
            self._made[key] = self._fresh(operator.lower())
            node.output.append(self._made[key])
            self._nodes.append(node)
        return self._made[key]

    def split(self, source: str, columns: int) -> list[str]:
        """The names of the columns, [N, 1] each, of a tensor."""
        names = [self._fresh("column") for _ in range(columns)]
        self._nodes.append(helper.make_node("Split", [source], names, axis=1, num_outputs=columns))
        return names

    def categories(self, name: str) -> list[str]:
        """Return the known values of a text input, in the order of their indices."""
        return list(self._vocabularies[name]) or [_NOTHING]

    def category_index(self, name: str) -> str:
        """Return the name of each text's index in its vocabulary, [N, 1] int64; one past the last for unknown texts."""
        known = len(self.categories(name))
        return self._encoded(name, values_int64s=list(range(known)), default_int64=known)

    def lookup(self, name: str, tables: Sequence[Mapping[str, float]], defaults: Sequence[float]) -> str:
        """Return the name of the values of each table for a text, or the table's default: [N, tables] float32."""
        if len(tables) == 1:
            return self._one_table(name, tables[0], defaults[0])
        rows = [
            [table.get(key, default) for table, default in zip(tables, defaults, strict=True)]
            for key in (*self.categories(name), _ANY_OTHER)
        ]
        return self.add("GatherND", [self.array(np.array(rows, dtype=np.float32)), self.category_index(name)])

    def trees(self, ensemble: Ensemble, matrix: str) -> str:
        """Return the name of the sum of these trees for each row of a matrix, [N, 1]."""
        return self.add("TreeEnsembleRegressor", [matrix], domain="ai.onnx.ml", **ensemble)

    def embed(self, model: onnx.ModelProto, source: str) -> str:
        """Add the graph of a model with one input and one output, fed from `source`, and return its output's name."""
        prefix = self._fresh("embedded")
        renamed = {model.graph.input[0].name: source}

        def local(name: str) -> str:
            return renamed.get(name, f"{prefix}_{name}") if name else ""

        for tensor in model.graph.initializer:
            held = onnx.TensorProto()
            held.CopyFrom(tensor)
            held.name = local(tensor.name)
            self._constants.append(held)
        for node in model.graph.node:
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            copied.name = ""
            copied.ClearField("input")
            copied.ClearField("output")
            copied.input.extend(local(name) for name in node.input)
            copied.output.extend(local(name) for name in node.output)
            self._nodes.append(copied)
        return local(model.graph.output[0].name)

    def build(self, outputs: Mapping[str, str]) -> onnx.ModelProto:
        """Return the checked model. `outputs` maps the name of each output to a separate tensor, [N, 1] float32.

        Raises onnx.checker.ValidationError.
        """
        named = {source: name for name, source in outputs.items()}
        nodes = [_renamed(node, named) for node in self._nodes]
        graph = helper.make_graph(
            nodes,
            "home_prices",
            [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in self._inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in outputs],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="homeprices")
        onnx.checker.check_model(model)
        return model

    def _one_table(self, name: str, table: Mapping[str, float], default: float) -> str:
        values = [float(np.float32(table.get(key, default))) for key in self.categories(name)]
        return self._encoded(name, values_floats=values, default_float=float(np.float32(default)))

    def _encoded(self, name: str, **values: Any) -> str:
        keys = self.categories(name)
        return self.add("LabelEncoder", [self.text(name)], domain="ai.onnx.ml", keys_strings=keys, **values)

    def _constant(self, value: np.ndarray[Any, Any]) -> str:
        tensor = numpy_helper.from_array(value)
        key = tensor.SerializeToString(deterministic=True)
        if key not in self._made:
            tensor.name = self._made[key] = self._fresh("constant")
            self._constants.append(tensor)
        return self._made[key]

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"


def converted(regressor: Any, width: int) -> onnx.ModelProto:
    """Return a fitted scikit-learn regressor of a matrix with `width` columns as a separate graph."""
    # Imported here: only the one task that exports needs it, and it takes seconds.
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    model: onnx.ModelProto = skl2onnx.convert_sklearn(
        regressor,
        initial_types=[("matrix", FloatTensorType([None, width]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )
    return model


def _renamed(node: onnx.NodeProto, named: Mapping[str, str]) -> onnx.NodeProto:
    renamed = onnx.NodeProto()
    renamed.CopyFrom(node)
    for names in (renamed.input, renamed.output):
        names[:] = [named.get(name, name) for name in names]
    return renamed


def ensemble_of(regressor: Any, places: Sequence[int], more: float = 0.0) -> Ensemble:
    """Return the trees of a gradient boosting whose columns have these positions in the matrix of the graph.

    `more` is added to their sum.
    """
    [node] = converted(regressor, len(places)).graph.node
    ensemble = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return {
        **ensemble,
        "nodes_featureids": [places[column] for column in ensemble["nodes_featureids"]],
        "base_values": [value + more for value in ensemble.get("base_values", [0.0])],
    }


def constant_ensemble(value: float) -> Ensemble:
    """Return an ensemble without trees."""
    return {"n_targets": 1, "post_transform": "NONE", "base_values": [value]}


def add_tree(
    ensemble: Ensemble, limits: Sequence[tuple[int, float]], value: float, otherwise: float, *, equal: bool = False
) -> Ensemble:
    """Return the ensemble with one more tree: `value` where each of these columns, (position, limit), is at most its
    limit (if `equal`: equals its limit), else `otherwise`.

    All nodes of an ensemble should use the same comparison, because ONNX Runtime has a faster path for that case.
    """
    number, count = 1 + max(ensemble.get("nodes_treeids", [-1])), len(limits)
    leaves = count + 1  # the first of them for the value
    places, values = [place for place, _ in limits], [limit for _, limit in limits]
    tree: Ensemble = {
        "nodes_treeids": [number] * (count + leaves),
        "nodes_nodeids": list(range(count + leaves)),
        "nodes_modes": ["BRANCH_EQ" if equal else "BRANCH_LEQ"] * count + ["LEAF"] * leaves,
        "nodes_featureids": places + [0] * leaves,
        "nodes_values": values + [0.0] * leaves,
        "nodes_truenodeids": list(range(1, count + 1)) + [0] * leaves,
        "nodes_falsenodeids": list(range(count + 1, count + leaves)) + [0] * leaves,
        "nodes_missing_value_tracks_true": [0] * (count + leaves),
        "nodes_hitrates": [1.0] * (count + leaves),
        "target_treeids": [number] * leaves,
        "target_nodeids": list(range(count, count + leaves)),
        "target_ids": [0] * leaves,
        "target_weights": [value] + [otherwise] * count,
    }
    return {**ensemble, **{name: [*ensemble.get(name, []), *more] for name, more in tree.items()}}
