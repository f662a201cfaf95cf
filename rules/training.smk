# The base model, the searches for learning rates, and the runs: each process trains one method.


rule initial_model:
    input:
        tokenizer=TOKENIZER,
        fetched=fetched_models({"kind": "pretrained", "model": config["model"]}),
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
        **on_cluster("initial_model", mem_mb=4000, runtime=30),
    params:
        code=code("prepare_model.py"),
        settings=as_json(MODELS["models"][config["model"]]),
        seed=runs.base_seed(config),
        tokenizer=subpath(input.tokenizer, parent=True),
        name=config["model"],
        fetched=lambda wildcards, input: [
            word for path in input.fetched for word in ("--fetched", path)
        ],
        folder=subpath(output.config, parent=True),
    message:
        "Preparing the initial model"
    shell:
        "python scripts/prepare_model.py --settings {params.settings:q} --seed {params.seed}"
        " --name {params.name:q} {params.fetched:q} --tokenizer {params.tokenizer:q}"
        " --output {params.folder:q} > {log:q} 2>&1"


if PRETRAINED:

    rule adopt:
        input:
            model=rules.initial_model.output.weights,
        output:
            model=BASE_MODEL,
            log=f"{BASE}/train.jsonl",
            run=f"{BASE}/run.json",
        log:
            f"{LOGS}/adopt.log",
        benchmark:
            f"{BENCHMARKS}/adopt.tsv"
        conda:
            environment("training")
        resources:
            **on_cluster("initial_model", mem_mb=2000, runtime=30),
        params:
            code=code("adopt_model.py"),
            settings=run_json("base"),
            file=SETTINGS_FILES.add("runs/base.json", lambda: run_json("base")),
            seed=runs.base_seed(config),
            model=subpath(input.model, parent=True),
            output=subpath(output.model, parent=True),
            run=subpath(output.run, parent=True),
        message:
            "Taking the published model as the base"
        shell:
            "python scripts/adopt_model.py --settings {params.file:q} --seed {params.seed}"
            " --model {params.model:q} --output {params.output:q} --run {params.run:q}"
            " > {log:q} 2>&1"

else:

    # Checkpoints go to a folder that Snakemake does not know, since it deletes the outputs of a job
    # that failed before the job is tried again.
    rule pretrain:
        input:
            model=rules.initial_model.output.weights,
            tokenizer=TOKENIZER,
            tokens=token_metas(runs.base_domains(config)),
        output:
            model=BASE_MODEL,
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
            **on_cluster(
                "base",
                mem_mb=4000,
                runtime=240,
                gpu=training_resources("base")["gpu"],
            ),
        params:
            code=training_code("base"),
            settings=run_json("base"),
            file=SETTINGS_FILES.add("runs/base.json", lambda: run_json("base")),
            seed=runs.base_seed(config),
            model=subpath(input.model, parent=True),
            tokens=token_arguments(runs.base_domains(config)),
            tokenizer=subpath(input.tokenizer, parent=True),
            checkpoints=f"{RESULTS}/checkpoints/base",
            folder=subpath(output.run, ancestor=2),
        message:
            "Pre-training the base model"
        shell:
            "python scripts/train.py --settings {params.file:q} --seeds {params.seed}"
            " --model {params.model:q} --tokenizer {params.tokenizer:q} --tokens {params.tokens:q}"
            " --checkpoints {params.checkpoints:q} --output {params.folder:q} > {log:q} 2>&1"


KNOWN_DOMAINS = runs.known_domains(config)
ADAPTATION_DOMAINS = [*KNOWN_DOMAINS, *config["sequence"]]
SEARCHED = [run for run in RUNS if runs.has_grid(config, run)]


# The grid of learning rates of a run that lists several, on the first task.
rule search:
    input:
        model=BASE_MODEL,
        tokenizer=TOKENIZER,
        tokens=token_metas(ADAPTATION_DOMAINS),
    output:
        table=f"{RESULTS}/search/{{run}}.csv",
        choice=f"{RESULTS}/search/{{run}}.json",
    log:
        f"{LOGS}/search/{{run}}.log",
    benchmark:
        f"{BENCHMARKS}/search/{{run}}.tsv"
    conda:
        environment("training")
    threads: lambda wildcards: training_resources(wildcards.run)["threads"]
    resources:
        **on_cluster(
            "search",
            mem_mb=4000,
            runtime=240,
            gpu=lambda wildcards: training_resources(wildcards.run)["gpu"],
        ),
    params:
        code=lambda wildcards: search_code(wildcards.run),
        study=config["study"],
        settings=lambda wildcards: search_json(wildcards.run),
        file=SETTINGS_FILES.each("search/{run}.json", SEARCHED, search_json),
        model=subpath(input.model, parent=True),
        tokens=token_arguments(ADAPTATION_DOMAINS),
        tokenizer=subpath(input.tokenizer, parent=True),
        checkpoints=lambda wildcards: f"{RESULTS}/checkpoints/search/{wildcards.run}",
    message:
        "Searching a learning rate for {wildcards.run}"
    shell:
        "python scripts/search.py --study {params.study:q} --settings {params.file:q}"
        " --model {params.model:q} --tokenizer {params.tokenizer:q} --tokens {params.tokens:q}"
        " --checkpoints {params.checkpoints:q} --table {output.table:q}"
        " --choice {output.choice:q} > {log:q} 2>&1"


# The values of one setting of a run, each with the run's grid of rates, on the first task.
rule ablation:
    input:
        model=BASE_MODEL,
        tokenizer=TOKENIZER,
        tokens=token_metas(ADAPTATION_DOMAINS),
    output:
        f"{RESULTS}/ablations/{{ablation}}.csv",
    log:
        f"{LOGS}/ablations/{{ablation}}.log",
    benchmark:
        f"{BENCHMARKS}/ablations/{{ablation}}.tsv"
    conda:
        environment("training")
    threads: lambda wildcards: training_resources(ablated_run(wildcards.ablation))["threads"]
    resources:
        **on_cluster(
            "ablation",
            mem_mb=4000,
            runtime=480,
            gpu=lambda wildcards: training_resources(ablated_run(wildcards.ablation))[
                "gpu"
            ],
        ),
    params:
        code=lambda wildcards: search_code(ablated_run(wildcards.ablation)),
        study=config["study"],
        settings=lambda wildcards: ablation_json(wildcards.ablation),
        file=SETTINGS_FILES.each(
            "ablations/{ablation}.json", list(config["ablations"]), ablation_json
        ),
        model=subpath(input.model, parent=True),
        tokens=token_arguments(ADAPTATION_DOMAINS),
        tokenizer=subpath(input.tokenizer, parent=True),
        checkpoints=lambda wildcards: f"{RESULTS}/checkpoints/ablations/{wildcards.ablation}",
    message:
        "Varying {wildcards.ablation}"
    shell:
        "python scripts/search.py --study {params.study:q} --settings {params.file:q}"
        " --model {params.model:q} --tokenizer {params.tokenizer:q} --tokens {params.tokens:q}"
        " --checkpoints {params.checkpoints:q} --table {output:q} > {log:q} 2>&1"


# One process trains a run with one seed through all tasks, or with several seeds in turn where the
# study says so (`seeds_per_job`): starting a process costs as much as training a small model.
for _seeds in runs.seed_batches(config):

    rule:
        name:
            job_name("adapt", _seeds)
        input:
            model=BASE_MODEL,
            tokenizer=TOKENIZER,
            tokens=token_metas(ADAPTATION_DOMAINS),
            choice=lambda wildcards: chosen_rate(wildcards.run),
        output:
            models=[
                directory(f"{RESULTS}/runs/{{run}}/seed{seed}/models")
                for seed in _seeds
            ],
            logs=[f"{RESULTS}/runs/{{run}}/seed{seed}/train.jsonl" for seed in _seeds],
            runs=[f"{RESULTS}/runs/{{run}}/seed{seed}/run.json" for seed in _seeds],
        log:
            f"{LOGS}/adapt/{{run}}/{job_name('seeds', _seeds)}.log",
        benchmark:
            f"{BENCHMARKS}/adapt/{{run}}/{job_name('seeds', _seeds)}.tsv"
        conda:
            environment("training")
        threads: lambda wildcards: training_resources(wildcards.run)["threads"]
        resources:
            **on_cluster(
                "adapt",
                mem_mb=4000,
                runtime=480,
                gpu=lambda wildcards: training_resources(wildcards.run)["gpu"],
            ),
        params:
            code=lambda wildcards: training_code(wildcards.run),
            settings=lambda wildcards: run_json(wildcards.run),
            file=SETTINGS_FILES.each("runs/{run}.json", RUNS, run_json),
            seeds=_seeds,
            rate=lambda wildcards, input: [
                word for path in input.choice for word in ("--learning-rate", path)
            ],
            model=subpath(input.model, parent=True),
            tokens=token_arguments(ADAPTATION_DOMAINS),
            tokenizer=subpath(input.tokenizer, parent=True),
            checkpoints=lambda wildcards: f"{RESULTS}/checkpoints/{wildcards.run}",
            folder=lambda wildcards: f"{RESULTS}/runs/{wildcards.run}",
        message:
            "Adapting by {wildcards.run}"
        shell:
            "python scripts/train.py --settings {params.file:q} --seeds {params.seeds}"
            " {params.rate:q} --model {params.model:q} --tokenizer {params.tokenizer:q}"
            " --tokens {params.tokens:q} --checkpoints {params.checkpoints:q}"
            " --output {params.folder:q} > {log:q} 2>&1"
