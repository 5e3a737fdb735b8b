"""Small data sets as TensorFlow Datasets prepares them, written by its own code, without TensorFlow."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def prepare(
    data_dir: Path,
    name: str,
    splits: Mapping[str, Sequence[Mapping[str, object]]],
    features: Mapping[str, object],
    *,
    config: str = "",
    version: str = "1.0.0",
    shards: int = 1,
    supervised_keys: tuple[str, str] | None = None,
) -> Path:
    """Writes the examples of each split to array_record files, with the metadata beside them; returns their folder.

    Serialization, file names and metadata are TFDS's: what TensorFlow is needed for is to make images out of arrays,
    and here images are files already.
    """
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter

    folder = data_dir / name / config / version
    folder.mkdir(parents=True)
    features = tfds.features.FeaturesDict(features)
    template = tfds.core.ShardedFileTemplate(
        dataset_name=name, data_dir=folder, filetype_suffix="array_record", split="train"
    )
    infos = []
    for split, examples in splits.items():
        of_split = template.replace(split=split)
        lengths = []
        for shard in range(shards):
            part = examples[shard * len(examples) // shards : (shard + 1) * len(examples) // shards]
            path = of_split.sharded_filepath(shard_index=shard, num_shards=shards)
            writer = ArrayRecordWriter(str(path), "group_size:1")
            for example in part:
                writer.write(features.serialize_example(features.encode_example(example)))
            writer.close()
            lengths.append(len(part))
        infos.append(tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=0, filename_template=of_split))
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=infos,
        version=version,
        supervised_keys=supervised_keys,
        check_data=False,
    )
    return folder
