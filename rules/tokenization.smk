# The tokenization study: tokenizers measured on the same text, a small model trained with each.
if TOKENIZERS:

    rule raw_corpus:
        input:
            fetched=lambda wildcards: [
                f"{DOWNLOADS}/{source}/fetched.json"
                for source in SOURCES_OF[wildcards.domain]
            ],
        output:
            splits=[f"{TOKENIZATION}/raw/{{domain}}/{split}.jsonl" for split in SPLITS],
            manifest=f"{TOKENIZATION}/raw/{{domain}}/manifest.json",
        log:
            f"{LOGS}/raw_corpus/{{domain}}.log",
        benchmark:
            f"{BENCHMARKS}/raw_corpus/{{domain}}.tsv"
        conda:
            environment("corpora")
        threads: 1
        resources:
            **on_cluster("raw_corpus", mem_mb=3000, runtime=60),
        params:
            code=code("build_corpus.py"),
            settings=lambda wildcards: corpus_settings(wildcards, normalisation="none"),
            fetched=lambda wildcards, input: [
                f"{source}={path}"
                for source, path in zip(SOURCES_OF[wildcards.domain], input.fetched)
            ],
            folder=subpath(output.manifest, parent=True),
        message:
            "Building the corpus {wildcards.domain} without normalisation"
        shell:
            "python scripts/build_corpus.py --domain {wildcards.domain:q}"
            " --settings {params.settings:q} --fetched {params.fetched:q}"
            " --output {params.folder:q} > {log:q} 2>&1"

    rule study_tokenizer:
        input:
            corpora=lambda wildcards: study_texts(
                wildcards.tokenizer, study_corpora(wildcards.tokenizer)
            ),
            fetched=lambda wildcards: fetched_models(study_entry(wildcards.tokenizer)),
            # Gold words, where they are reached: known when this runs.
            reference=(
                [
                    f"{RESULTS}/segmentation/reference/reference.json",
                    f"{RESULTS}/segmentation/reference/test.jsonl",
                ]
                if SEGMENTATION
                else []
            ),
        output:
            directory(f"{TOKENIZATION}/tokenizers/{{tokenizer}}"),
        log:
            f"{LOGS}/study_tokenizer/{{tokenizer}}.log",
        benchmark:
            f"{BENCHMARKS}/study_tokenizer/{{tokenizer}}.tsv"
        conda:
            environment("corpora")
        threads: 1
        resources:
            **on_cluster("study_tokenizer", mem_mb=2000, runtime=60),
        params:
            code=code("study_tokenizer.py"),
            entry=lambda wildcards: as_json(study_entry(wildcards.tokenizer)),
            settings=lambda wildcards: as_json(
                {
                    key: config["tokenization"][key]
                    for key in ("maximum_documents", "test_documents", "words")
                }
                | {
                    "normalisation": text_form(wildcards.tokenizer),
                    "languages": {
                        domain: text_language(domain)
                        for domain in study_corpora(wildcards.tokenizer)
                    },
                }
            ),
            models=lambda wildcards: as_json(
                {
                    name: MODELS["models"][name]
                    for name in runs.pretrained_models(
                        study_entry(wildcards.tokenizer)
                    )
                }
            ),
            fetched=lambda wildcards, input: [
                f"{Path(path).parent.name}={path}" for path in input.fetched
            ],
            corpora=lambda wildcards, input: folders_of(
                study_corpora(wildcards.tokenizer), input.corpora
            ),
            texts=lambda wildcards, input: folders_of(TOKENIZED, input.corpora),
            reference=lambda wildcards, input: (
                ["--reference", Path(input.reference[0]).parent]
                if input.reference
                else []
            ),
        message:
            "Measuring the tokenizer {wildcards.tokenizer}"
        shell:
            "python scripts/study_tokenizer.py --entry {params.entry:q}"
            " --settings {params.settings:q} --models {params.models:q}"
            " --fetched {params.fetched:q} --corpora {params.corpora:q} --texts {params.texts:q}"
            " {params.reference:q} --output {output:q} > {log:q} 2>&1"

    # One process trains them all: starting NeMo takes longer than training one of them.
    rule study_models:
        input:
            [f"{TOKENIZATION}/tokenizers/{name}" for name in TOKENIZERS],
        output:
            TABLES["tokenizers"],
        log:
            f"{LOGS}/study_models.log",
        benchmark:
            f"{BENCHMARKS}/study_models.tsv"
        conda:
            environment("training")
        threads: config["training"]["threads"]
        resources:
            **on_cluster("study_models", mem_mb=4000, runtime=240),
        params:
            code=code("study_models.py"),
            study=config["study"],
            settings=as_json(runs.study_models_settings(config, MODELS["models"])),
            tokenizers=[
                f"{name}={TOKENIZATION}/tokenizers/{name}" for name in TOKENIZERS
            ],
            checkpoints=f"{RESULTS}/checkpoints/tokenization",
        message:
            "Training a small model with each tokenizer"
        shell:
            "python scripts/study_models.py --study {params.study:q}"
            " --settings {params.settings:q} --tokenizers {params.tokenizers:q}"
            " --checkpoints {params.checkpoints:q} --output {output:q} > {log:q} 2>&1"
