# The base model and the runs: one process trains one method with one seed through all tasks.
TRAINING_CODE = code("train.py", "text", "data", "models", "methods", "training")


rule initial_model:
    input:
        tokenizer=rules.tokenizer.output.model,
        code=code("prepare_model.py", "text", "models"),
    output:
        config=f"{RESULTS}/models/initial/config.json",
        weights=f"{RESULTS}/models/initial/model.safetensors",
    log:
        f"{LOGS}/initial_model.log",
    benchmark:
        f"{BENCHMARKS}/initial_model.tsv"
    conda:
        environment("training")
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=as_json(MODELS["models"][config["model"]]),
        seed=study_settings.base_seed(config),
        tokenizer=subpath(input.tokenizer, parent=True),
        folder=subpath(output.config, parent=True),
    message:
        "Preparing the initial model"
    shell:
        "python scripts/prepare_model.py --settings {params.settings:q} --seed {params.seed}"
        " --tokenizer {params.tokenizer:q} --output {params.folder:q} > {log:q} 2>&1"


# Checkpoints go to a folder that Snakemake does not know, since it deletes the outputs of a job
# that failed before the job is tried again.
rule pretrain:
    input:
        model=rules.initial_model.output.weights,
        tokenizer=rules.tokenizer.output.model,
        tokens=token_metas(study_settings.base_domains(config)),
        code=TRAINING_CODE,
    output:
        model=f"{BASE}/models/{KNOWN}/model.safetensors",
        log=f"{BASE}/train.jsonl",
        run=f"{BASE}/run.json",
    log:
        f"{LOGS}/pretrain.log",
    benchmark:
        f"{BENCHMARKS}/pretrain.tsv"
    conda:
        environment("training")
    threads: training_resources("base")["threads"]
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=training_resources("base")["gpu"],
    params:
        settings=as_json(
            study_settings.run_settings(
                config, "base", study_settings.base_seed(config)
            )
        ),
        model=subpath(input.model, parent=True),
        tokens=token_arguments(study_settings.base_domains(config)),
        tokenizer=subpath(input.tokenizer, parent=True),
        checkpoints=f"{RESULTS}/checkpoints/base",
        folder=subpath(output.run, parent=True),
    message:
        "Pre-training the base model"
    shell:
        "python scripts/train.py --settings {params.settings:q} --model {params.model:q}"
        " --tokenizer {params.tokenizer:q} --tokens {params.tokens:q}"
        " --checkpoints {params.checkpoints:q} --output {params.folder:q} > {log:q} 2>&1"


ADAPTATION_DOMAINS = [KNOWN, *config["sequence"]]


rule adapt:
    input:
        model=rules.pretrain.output.model,
        tokenizer=rules.tokenizer.output.model,
        tokens=token_metas(ADAPTATION_DOMAINS),
        code=TRAINING_CODE,
    output:
        models=directory(f"{RESULTS}/runs/{{run}}/seed{{seed}}/models"),
        log=f"{RESULTS}/runs/{{run}}/seed{{seed}}/train.jsonl",
        run=f"{RESULTS}/runs/{{run}}/seed{{seed}}/run.json",
    log:
        f"{LOGS}/adapt/{{run}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/adapt/{{run}}/seed{{seed}}.tsv"
    conda:
        environment("training")
    threads: lambda wildcards: training_resources(wildcards.run)["threads"]
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=lambda wildcards: training_resources(wildcards.run)["gpu"],
    params:
        settings=lambda wildcards: as_json(
            study_settings.run_settings(config, wildcards.run, int(wildcards.seed))
        ),
        model=subpath(input.model, parent=True),
        tokens=token_arguments(ADAPTATION_DOMAINS),
        tokenizer=subpath(input.tokenizer, parent=True),
        checkpoints=lambda wildcards: f"{RESULTS}/checkpoints/{wildcards.run}/seed{wildcards.seed}",
        folder=subpath(output.run, parent=True),
    message:
        "Adapting by {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python scripts/train.py --settings {params.settings:q} --model {params.model:q}"
        " --tokenizer {params.tokenizer:q} --tokens {params.tokens:q}"
        " --checkpoints {params.checkpoints:q} --output {params.folder:q} > {log:q} 2>&1"
