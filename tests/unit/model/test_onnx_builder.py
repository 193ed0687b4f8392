"""Writing an ONNX graph: what it computes, and that it computes nothing twice."""

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from homeprices.model.feature_columns import Log, Lookup, Number, Ratio
from homeprices.model.feature_matrix import FeatureTransformer, join
from homeprices.model.onnx_builder import OnnxBuilder, add_tree, constant_ensemble, ensemble_of

VOCABULARIES = {"location": ["Hebbal", "Whitefield"], "society": ["a", "b"]}
LEVEL = Lookup("location", "level", {"Hebbal": 0.5, "Whitefield": -0.25}, 0.125)
LISTINGS = Lookup("location", "listings", {"Whitefield": 3.0}, 0.0)
SOCIETY = Lookup("society", "level", {"a": 1.5}, -1.0)
HOMES = pd.DataFrame(
    {
        "total_sqft": np.array([900, 1200, 1500], dtype=np.float32),
        "bhk": np.array([2, 3, 3], dtype=np.float32),
        "balcony": np.array([1, np.nan, 2], dtype=np.float32),
        "location": np.array(["Hebbal", "Whitefield", "Nowhere"], dtype=object),
        "society": np.array(["a", "b", ""], dtype=object),
    }
)


def answers(graph: OnnxBuilder, **outputs: str) -> dict[str, npt.NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(graph.build(outputs).SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {one.name: HOMES[one.name].to_numpy().reshape(-1, 1) for one in session.get_inputs()}
    return dict(zip(outputs, session.run(list(outputs), feed), strict=True))


def operators(graph: OnnxBuilder, output: str) -> list[str]:
    return [node.op_type for node in graph.build({"answer": output}).graph.node]


def test_what_is_asked_for_twice_is_computed_once() -> None:
    graph = OnnxBuilder({})
    first, again = (graph.add("Log", [graph.number("total_sqft")]) for _ in range(2))
    assert first == again
    other = graph.add("Max", [first, graph.constant(1)])
    assert other != graph.add("Max", [first, graph.constant(2)])
    assert operators(graph, other) == ["Log", "Max", "Max"]


def test_a_matrix_is_that_of_its_design_and_looks_each_text_up_once() -> None:
    design = FeatureTransformer(
        [LEVEL, LISTINGS, Number("total_sqft"), SOCIETY, Ratio("total_sqft", "bhk"), Log("bhk")]
    )
    graph = OnnxBuilder(VOCABULARIES)
    matrix = design.to_onnx(graph)
    for column, expected in enumerate(design.transform(HOMES).T):
        picked = graph.add("Gather", [matrix, graph.array(np.array([column]))], axis=1)
        found = answers(graph, answer=picked)["answer"]
        np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6)
    assert operators(graph, matrix).count("LabelEncoder") == 2


def test_of_two_designs_that_are_joined_every_column_keeps_a_place() -> None:
    one, other = (
        FeatureTransformer([LEVEL, Number("bhk"), SOCIETY]),
        FeatureTransformer([Number("bhk"), LISTINGS, Number("total_sqft")]),
    )
    joint, places = join(one, other)
    assert len(joint.columns) == 5
    matrix = joint.transform(HOMES)
    for design, held in zip((one, other), places, strict=True):
        np.testing.assert_array_equal(matrix[:, held], design.transform(HOMES))


def test_trees_answer_from_wherever_their_columns_stand() -> None:
    rng = np.random.default_rng(1)
    regressor = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=2)
    regressor.fit(HOMES[["bhk", "total_sqft"]].to_numpy()[rng.integers(0, 3, 60)], rng.normal(size=60))
    graph = OnnxBuilder(VOCABULARIES)
    matrix = FeatureTransformer([Number("total_sqft"), LEVEL, Number("bhk")]).to_onnx(graph)
    found = answers(graph, answer=graph.trees(ensemble_of(regressor, [2, 0]), matrix))["answer"]
    expected = regressor.predict(HOMES[["bhk", "total_sqft"]].to_numpy())
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("start", [0.0, 7.0])
def test_one_more_tree_tells_homes_of_which_two_things_are_missing(start: float, equal: bool) -> None:
    graph = OnnxBuilder(VOCABULARIES)
    matrix = FeatureTransformer([Number("balcony", missing=-1.0), Number("bhk"), SOCIETY]).to_onnx(graph)
    trees = add_tree(constant_ensemble(start), [(0, -1.0), (2, -1.0)], 10.0, 20.0, equal=equal)
    again = add_tree(trees, [(0, -1.0)], 100.0, 200.0, equal=equal)
    found = answers(graph, once=graph.trees(trees, matrix), twice=graph.trees(again, matrix))
    assert found["once"].ravel().tolist() == [start + 20, start + 10, start + 20]
    assert found["twice"].ravel().tolist() == [start + 220, start + 110, start + 220]
