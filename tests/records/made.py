"""Small records, built in code as programs build them."""

from resjax.records import (
    NUMERICS_VERSION,
    ClassScores,
    Described,
    Diverged,
    DivergedAt,
    Done,
    Environment,
    MetricsLine,
    NetworkSummary,
    ReplicaTiming,
    Summary,
    SummaryDataset,
)

CLASSES = ["bakso", "gado.gado"]
SCORES = {name: ClassScores(precision=1.0, recall=0.5, f1=2 / 3, support=4) for name in CLASSES}
MATRIX = [[2, 2], [0, 4]]
TIMING = ReplicaTiming(seconds=2.5, training_seconds=2.0, device="cpu")
DESCRIBED = Described(values=[0.75], mean=0.75, sd=None, ci95=None)


def metrics_line(epoch: int = 1, train_loss: float = 1.5) -> MetricsLine:
    return MetricsLine(
        epoch=epoch,
        train_loss=train_loss,
        train_accuracy=0.25,
        val_loss=1.25,
        val_accuracy=0.75,
        learning_rate=5e-4,
        is_best=True,
        seconds=2.0,
        images_per_second=100.0,
    )


def done() -> Done:
    return Done(
        architecture="resnet34",
        seed=3,
        status="done",
        parameters=21_287_237,
        best=metrics_line(),
        last=metrics_line(),
        best_updates=1,
        trained_as=["sequential"],
        evaluated_on="val",
        loss=1.25,
        accuracy=0.75,
        confusion_matrix=MATRIX,
        per_class=SCORES,
        last_three_val_accuracy=0.75,
        best_optimism=None,
        timing=TIMING,
    )


def diverged() -> Diverged:
    return Diverged(
        architecture="resnet34",
        seed=3,
        status="diverged",
        parameters=21_287_237,
        best=None,
        last=metrics_line(train_loss=float("nan")),
        best_updates=0,
        trained_as=["sequential"],
        evaluated_on="val",
        diverged_at=DivergedAt(epoch=1, step=7),
        timing=TIMING,
    )


def summary() -> Summary:
    network = NetworkSummary(
        parameters=21_287_237,
        forward_flops=7.3e9,
        forward_flops_xla=None,
        activation_bytes=753_704,
        init_from=None,
        trained_as=["sequential"],
        seeds=[3, 4],
        status={3: "done", 4: "pending"},
        best_val_accuracy=DESCRIBED,
        final_val_accuracy=DESCRIBED,
        final_train_accuracy=DESCRIBED,
        best_updates={3: 1},
        confusion_matrix=MATRIX,
        per_class=SCORES,
    )
    environment = Environment(
        jax="0.10.2",
        flax="0.12.8",
        platform="cpu",
        device_kind="cpu",
        device_count=1,
        process_count=1,
        cpu_count=2,
        xla_flags=None,
        git_revision=None,
    )
    dataset = SummaryDataset(
        name="synthetic",
        fingerprint="ab12",
        classes=CLASSES,
        images=40,
        split="grouped",
        split_label="grouped",
        split_is_faulty=False,
        splits={"train": 32, "val": 8, "test": 0},
        exact_copies=2,
        near_copies=None,
        leaked_images=0,
        leaked={"val": 0, "test": 0},
        unreadable=[],
        left_out=0,
    )
    return Summary(
        recipe_version=NUMERICS_VERSION,
        config={"epochs": 1, "image_dir": None},
        environment=environment,
        dataset=dataset,
        architectures={"plain34": network, "resnet34": network},
        comparisons=[],
        depth=None,
    )
