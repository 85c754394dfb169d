"""The generated blocks of the documentation: tables from recipes and from measured results.

A block is a function that returns Markdown. `BLOCKS` lists them by the names that pages use. Each module holds the
blocks of a page or a subject.
"""

from collections.abc import Callable
from functools import partial

from blocks.code import data_info, source_tree
from blocks.leaderboard import answer, leaderboard
from blocks.model_card import card_blocks, kept_accuracy, network_names, networks, other_faces, peers, web_recalls
from blocks.prediction import prediction_speed, prediction_stages, search_size, turned_faces
from blocks.robustness import corruptions
from blocks.security import torture
from blocks.service import service_load, service_throughput
from blocks.study import (
    comparison,
    deviations,
    longest_comparison,
    notebooks,
    reproduction,
    twins,
    uncompared,
)
from ferlab.emotions import Target

BLOCKS: dict[str, Callable[[], str]] = {
    "answer": answer,
    "comparison": comparison,
    "corruptions": corruptions,
    "data-info": data_info,
    "deviations": deviations,
    "comparison-40-passes": longest_comparison,
    "leaderboard": partial(leaderboard, Target.FER2013),
    "leaderboard-ferplus": partial(leaderboard, Target.FERPLUS),
    "network-names": network_names,
    "networks": networks,
    "notebooks": notebooks,
    "other-faces": other_faces,
    "peers": peers,
    "prediction-speed": prediction_speed,
    "prediction-stages": prediction_stages,
    "reproduction": reproduction,
    "robustness": kept_accuracy,
    "search-size": search_size,
    "service-load": service_load,
    "service-throughput": service_throughput,
    "source-tree": source_tree,
    "torture": torture,
    "turned-faces": turned_faces,
    "twins": twins,
    "uncompared": uncompared,
    "web-recalls": web_recalls,
    **card_blocks(),
}
