"""Names of the files that a run writes, and of the keys that a result carries."""

from __future__ import annotations

__all__ = [
    "CHECKPOINT_DIR_NAME",
    "EVALUATION_DATASET_KEY",
    "EXPR_ERROR_FILE",
    "EXPR_ERROR_PICKLE_FILE",
    "EXPR_PARAM_FILE",
    "EXPR_PARAM_PICKLE_FILE",
    "EXPR_PROGRESS_FILE",
    "EXPR_RESULT_FILE",
    "MAX_REPR_LENGTH",
    "MODEL_KEY",
    "PREPROCESSOR_KEY",
    "TENSOR_COLUMN_NAME",
    "TIMESTAMP",
    "TIME_THIS_ITER_S",
    "TRAINING_ITERATION",
    "TRAIN_DATASET_KEY",
]

TRAINING_ITERATION = "training_iteration"
TIMESTAMP = "timestamp"
TIME_THIS_ITER_S = "time_this_iter_s"

EXPR_PARAM_FILE = "params.json"
EXPR_PARAM_PICKLE_FILE = "params.pkl"
EXPR_PROGRESS_FILE = "progress.csv"
EXPR_RESULT_FILE = "result.json"
EXPR_ERROR_FILE = "error.txt"
EXPR_ERROR_PICKLE_FILE = "error.pkl"

MODEL_KEY = "model"
PREPROCESSOR_KEY = "_preprocessor"
TRAIN_DATASET_KEY = "train"
EVALUATION_DATASET_KEY = "evaluation"
TENSOR_COLUMN_NAME = "__value__"
MAX_REPR_LENGTH = 120

CHECKPOINT_DIR_NAME = "checkpoint_dir_name"
"""The key under which a result names the directory of the checkpoint that came with it."""
