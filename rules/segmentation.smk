# Word segmentation: the reference words, a BiLSTM-CRF that learns them, and how near each comes.
if SEGMENTATION:

    localrules:
        segmentation_reference,

    # Whether the gold words were reached is known when this runs, so it also reads the study's own
    # text, which takes their place where they were not.
    rule segmentation_reference:
        input:
            fetched=[f"{DOWNLOADS}/{source}/fetched.json" for source in GOLD_SOURCES],
            corpora=[
                f"{RESULTS}/corpora/{domain}/{split}.jsonl"
                for domain in SEGMENTATION["fallback"]["domains"]
                for split in SPLITS
            ],
        output:
            splits=[
                f"{RESULTS}/segmentation/reference/{split}.jsonl" for split in SPLITS
            ],
            meta=f"{RESULTS}/segmentation/reference/reference.json",
        log:
            f"{LOGS}/segmentation/reference.log",
        benchmark:
            f"{BENCHMARKS}/segmentation/reference.tsv"
        conda:
            environment("corpora")
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            code=code("prepare_segmentation.py"),
            settings=as_json({"gold": GOLD, "fallback": SEGMENTATION["fallback"]}),
            fetched=lambda wildcards, input: [
                f"{source}={path}" for source, path in zip(GOLD_SOURCES, input.fetched)
            ],
            corpora=[
                f"{RESULTS}/corpora/{domain}"
                for domain in SEGMENTATION["fallback"]["domains"]
            ],
            folder=subpath(output.meta, parent=True),
        message:
            "Preparing the words that segmenters are measured against"
        shell:
            "python scripts/prepare_segmentation.py --settings {params.settings:q}"
            " --fetched {params.fetched:q} --corpora {params.corpora:q}"
            " --output {params.folder:q} > {log:q} 2>&1"

    rule segmenter:
        input:
            reference=rules.segmentation_reference.output.meta,
            splits=rules.segmentation_reference.output.splits,
        output:
            weights=f"{RESULTS}/segmentation/bilstm_crf/seed{{seed}}/model.safetensors",
            meta=f"{RESULTS}/segmentation/bilstm_crf/seed{{seed}}/model.json",
        log:
            f"{LOGS}/segmentation/bilstm_crf/seed{{seed}}.log",
        benchmark:
            f"{BENCHMARKS}/segmentation/bilstm_crf/seed{{seed}}.tsv"
        conda:
            environment("training")
        threads: SEGMENTATION["training"]["threads"]
        resources:
            **on_cluster("segmenter", mem_mb=2000, runtime=120),
        params:
            code=code("train_segmenter.py"),
            settings=as_json(
                {key: SEGMENTATION[key] for key in ("network", "training", "fallback")}
            ),
            reference=subpath(input.reference, parent=True),
            folder=subpath(output.meta, parent=True),
        message:
            "Training the BiLSTM-CRF segmenter, seed {wildcards.seed}"
        shell:
            "python scripts/train_segmenter.py --settings {params.settings:q}"
            " --reference {params.reference:q} --seed {wildcards.seed:q}"
            " --output {params.folder:q} > {log:q} 2>&1"

    rule segmentation:
        input:
            reference=rules.segmentation_reference.output.meta,
            splits=rules.segmentation_reference.output.splits,
            models=[
                f"{RESULTS}/segmentation/bilstm_crf/seed{seed}/model.json"
                for seed in SEGMENTATION["seeds"]
            ],
        output:
            TABLES["segmentation"],
        log:
            f"{LOGS}/segmentation.log",
        benchmark:
            f"{BENCHMARKS}/segmentation.tsv"
        conda:
            environment("training")
        threads: 1
        resources:
            **on_cluster("segmentation", mem_mb=2000, runtime=30),
        params:
            code=code("evaluate_segmentation.py"),
            study=config["study"],
            reference=subpath(input.reference, parent=True),
            dictionaries=SEGMENTATION["dictionaries"],
            models=[
                f"{RESULTS}/segmentation/bilstm_crf/seed{seed}"
                for seed in SEGMENTATION["seeds"]
            ],
        message:
            "Measuring the segmenters"
        shell:
            "python scripts/evaluate_segmentation.py --study {params.study:q}"
            " --reference {params.reference:q} --dictionaries {params.dictionaries:q}"
            " --models {params.models:q} --output {output:q} > {log:q} 2>&1"
