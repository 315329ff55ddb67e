"""Where programs written for Ray look for things."""

from __future__ import annotations

import importlib

import pytest

PLACES = """
tune: Tuner run run_experiments Experiment Trainable report get_checkpoint get_context create_scheduler create_searcher
tune.schedulers: ASHAScheduler HyperBandForBOHB PopulationBasedTrainingReplay ResourceChangingScheduler create_scheduler
tune.schedulers.pbt: PopulationBasedTraining PopulationBasedTrainingReplay
tune.schedulers.pb2: PB2
tune.schedulers.resource_changing_scheduler: DistributeResources DistributeResourcesToTopJob
tune.search: Searcher ConcurrencyLimiter Repeater BasicVariantGenerator SearchGenerator create_searcher
tune.search.basic_variant: BasicVariantGenerator
tune.search.optuna: OptunaSearch
tune.search.hyperopt: HyperOptSearch
tune.search.bohb: TuneBOHB
tune.search.variant_generator: generate_variants grid_search RecursiveDependencyError
tune.stopper: Stopper CombinedStopper TrialPlateauStopper ExperimentPlateauStopper TimeoutStopper
tune.logger: LoggerCallback CSVLoggerCallback JsonLoggerCallback TBXLoggerCallback pretty_print
tune.logger.aim: AimLoggerCallback
tune.experiment.trial: Trial
tune.experimental.output: TuneReporterBase TuneTerminalReporter TrainReporter ProgressReporter
tune.execution.tune_controller: TuneController
tune.execution.placement_groups: PlacementGroupFactory resource_dict_to_pg_factory
tune.trainable.function_trainable: FunctionTrainable wrap_function
tune.impl.tuner_internal: TunerInternal
tune.result: TRAINING_ITERATION TRIAL_ID DEFAULT_METRIC
tune.registry: register_env register_trainable get_trainable_cls
tune.utils.mock_trainable: MyTrainableClass register_mock_trainable
tune.utils.util: flatten_dict unflatten_dict merge_dicts deep_update unflattened_lookup
tune.syncer: SyncConfig
air: RunConfig ScalingConfig CheckpointConfig FailureConfig Result
air.config: RunConfig ScalingConfig
air.session: report get_checkpoint get_trial_id get_world_rank
air.integrations.mlflow: MLflowLoggerCallback setup_mlflow
air.integrations.wandb: WandbLoggerCallback setup_wandb
air.integrations.comet: CometLoggerCallback
train: Checkpoint RunConfig ScalingConfig CheckpointConfig FailureConfig Result report get_checkpoint get_context
"""


@pytest.mark.parametrize("line", PLACES.split("\n")[1:-1])
def test_names_are_where_they_are_looked_for(line: str) -> None:
    module, names = line.split(": ")
    loaded = importlib.import_module(f"skate.{module}")
    missing = [name for name in names.split() if not hasattr(loaded, name)]
    assert not missing, module
