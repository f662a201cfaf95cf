# Every model on every domain's test split, and the tables that all figures and numbers read.
EVALUATION = as_json(
    {
        **{k: config["evaluation"][k] for k in ("maximum_tokens", "batch_size")},
        "source_domain": SOURCE_DOMAIN,
        **({"task_seed": config["evaluation"].get("task_seed", 0)} if TASKS else {}),
        "sequence_length": config["training"]["sequence_length"],
        "threads": config["training"]["threads"],
        "accelerator": config["training"]["accelerator"],
    }
)

# The base model is one run of one seed; the others are evaluated in the jobs they were trained in.
for _runs, _seeds in [
    ("base", [runs.base_seed(config)]),
    *((ADAPTED, seeds) for seeds in runs.seed_batches(config)),
]:

    rule:
        name:
            "evaluate_base" if _runs == "base" else job_name("evaluate", _seeds)
        wildcard_constraints:
            run=_runs,
        input:
            base=BASE_MODEL,
            tokenizer=TOKENIZER,
            runs=run_files("run.json", _seeds),
            tokens=[f"{RESULTS}/tokens/{domain}/test/meta.json" for domain in EVALUATED],
            downstream=TASK_FOLDERS,
        output:
            [f"{RESULTS}/evaluation/{{run}}/seed{seed}.csv" for seed in _seeds],
            # The harness's own results lie beside the scores.
            downstream=[
                f"{RESULTS}/evaluation/{{run}}/seed{seed}.tasks.{kind}"
                for seed in _seeds
                for kind in ("csv", "json")
                if TASKS
            ],
        log:
            f"{LOGS}/evaluate/{{run}}/{job_name('seeds', _seeds)}.log",
        benchmark:
            f"{BENCHMARKS}/evaluate/{{run}}/{job_name('seeds', _seeds)}.tsv"
        conda:
            environment("training")
        threads: 1
        # Short: a cluster takes several at once, as many as the profile says.
        group:
            "evaluations"
        resources:
            **on_cluster(
                "evaluate",
                mem_mb=4000,
                runtime=120,
                gpu=int(config["training"]["accelerator"] == "gpu"),
            ),
        params:
            code=lambda wildcards: evaluation_code(wildcards.run),
            study=config["study"],
            settings=EVALUATION,
            seeds=_seeds,
            base=subpath(input.base, parent=True),
            runs=lambda wildcards: f"{RESULTS}/runs/{wildcards.run}",
            tasks=lambda wildcards: tasks_of(wildcards.run),
            tokens=[f"{domain}={RESULTS}/tokens/{domain}/test" for domain in EVALUATED],
            tokenizer=subpath(input.tokenizer, parent=True),
            downstream=["--downstream", *TASK_FOLDERS] if TASKS else [],
            folder=subpath(output[0], parent=True),
        message:
            "Evaluating {wildcards.run}"
        shell:
            "python scripts/evaluate.py --study {params.study:q} --method {wildcards.run:q}"
            " --seeds {params.seeds} --settings {params.settings:q} --base {params.base:q}"
            " --runs {params.runs:q} --tasks {params.tasks:q} --tokenizer {params.tokenizer:q}"
            " --tokens {params.tokens:q} {params.downstream:q} --output {params.folder:q}"
            " > {log:q} 2>&1"


EVALUATIONS = [f"{RESULTS}/evaluation/{run}/seed{seed}.csv" for run, seed in all_runs()]
RUN_RECORDS = SETTINGS_FILES.add(
    "run_records.txt", lambda: settings_files.lines(all_files("run.json"))
)


localrules:
    metrics,
    efficiency,
    curves,


rule metrics:
    input:
        evaluations=EVALUATIONS,
    output:
        TABLES["metrics"],
    log:
        f"{LOGS}/metrics.log",
    benchmark:
        f"{BENCHMARKS}/metrics.tsv"
    conda:
        environment("paper")
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=collection_code(),
        source_domain=SOURCE_DOMAIN,
        files=SETTINGS_FILES.add(
            "evaluations.txt", lambda: settings_files.lines(EVALUATIONS)
        ),
    message:
        "Collecting the metrics"
    shell:
        "python scripts/collect.py metrics --source-domain {params.source_domain:q}"
        " --evaluations @{params.files:q} --output {output:q} > {log:q} 2>&1"


rule efficiency:
    input:
        runs=all_files("run.json"),
    output:
        TABLES["efficiency"],
    log:
        f"{LOGS}/efficiency.log",
    benchmark:
        f"{BENCHMARKS}/efficiency.tsv"
    conda:
        environment("paper")
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("collect.py"),
        study=config["study"],
        files=RUN_RECORDS,
    message:
        "Collecting sizes, seconds and memory"
    shell:
        "python scripts/collect.py efficiency --study {params.study:q} --runs @{params.files:q}"
        " --output {output:q} > {log:q} 2>&1"


rule curves:
    input:
        runs=all_files("run.json"),
        logs=all_files("train.jsonl"),
    output:
        TABLES["curves"],
    log:
        f"{LOGS}/curves.log",
    benchmark:
        f"{BENCHMARKS}/curves.tsv"
    conda:
        environment("paper")
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("collect.py"),
        study=config["study"],
        files=RUN_RECORDS,
        logs=SETTINGS_FILES.add(
            "run_logs.txt", lambda: settings_files.lines(all_files("train.jsonl"))
        ),
    message:
        "Collecting the training curves"
    shell:
        "python scripts/collect.py curves --study {params.study:q} --runs @{params.files:q}"
        " --logs @{params.logs:q} --output {output:q} > {log:q} 2>&1"


rule baselines:
    input:
        corpora=[
            f"{RESULTS}/corpora/{domain}/{split}.jsonl"
            for domain in DOMAINS
            for split in SPLITS
        ],
        trained=[
            f"{RESULTS}/tokens/{domain}/train/meta.json"
            for domain in [
                *config["sequence"],
                *([] if PRETRAINED else [SOURCE_DOMAIN]),
            ]
        ],
        tokens=[f"{RESULTS}/tokens/{domain}/test/meta.json" for domain in EVALUATED],
    output:
        TABLES["baselines"],
    log:
        f"{LOGS}/baselines.log",
    benchmark:
        f"{BENCHMARKS}/baselines.tsv"
    conda:
        environment("corpora")
    threads: 1
    resources:
        **on_cluster("baselines", mem_mb=8000, runtime=60),
    params:
        code=code("measure_baselines.py"),
        study=config["study"],
        corpora=lambda wildcards, input: parent(input.corpora[0], 2),
        tokens=lambda wildcards, input: parent(input.tokens[0], 3),
        labels=[
            f"{task}={budget.labels(config['training'], task)}"
            for task in config["sequence"]
        ],
        known=(
            []
            if PRETRAINED
            else [
                "--known",
                f"{SOURCE_DOMAIN}={budget.labels(runs.run_settings(config, 'base'), SOURCE_DOMAIN)}",
            ]
        ),
        reserved=[
            f"{domain}={share}" for domain, share in runs.reserved(config).items()
        ],
        domains=EVALUATED,
        maximum_tokens=config["evaluation"]["maximum_tokens"],
    message:
        "Measuring unigrams and n-grams"
    shell:
        "python scripts/measure_baselines.py --study {params.study:q} --corpora {params.corpora:q}"
        " --tokens {params.tokens:q} --labels {params.labels:q} {params.known:q}"
        " --reserved {params.reserved:q} --domains {params.domains:q}"
        " --maximum-tokens {params.maximum_tokens:q} --output {output:q} > {log:q} 2>&1"


# Only where something is searched for or varied.
if SEARCH_TABLES:

    localrules:
        grid,

    rule grid:
        input:
            tables=SEARCH_TABLES,
        output:
            TABLES["grid"],
        log:
            f"{LOGS}/grid.log",
        benchmark:
            f"{BENCHMARKS}/grid.tsv"
        conda:
            environment("paper")
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            code=code("collect.py"),
            files=SETTINGS_FILES.add(
                "searches.txt", lambda: settings_files.lines(SEARCH_TABLES)
            ),
        message:
            "Collecting the learning-rate grids and the ablations"
        shell:
            "python scripts/collect.py grid --tables @{params.files:q} --output {output:q}"
            " > {log:q} 2>&1"
