# Every model on every domain's test split, and the tables that all figures and numbers read.
rule evaluate:
    input:
        base=rules.pretrain.output.model,
        tokenizer=rules.tokenizer.output.model,
        run=lambda wildcards: f"{run_folder(wildcards.run, wildcards.seed)}/run.json",
        tokens=[f"{RESULTS}/tokens/{domain}/test/meta.json" for domain in EVALUATED],
        code=code("evaluate.py", "text", "data", "models", "evaluation"),
    output:
        f"{RESULTS}/evaluation/{{run}}/seed{{seed}}.csv",
    log:
        f"{LOGS}/evaluate/{{run}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/{{run}}/seed{{seed}}.tsv"
    conda:
        environment("training")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        study=config["study"],
        settings=as_json(
            {
                **{k: v for k, v in config["evaluation"].items() if k != "domains"},
                "sequence_length": config["training"]["sequence_length"],
                "threads": config["training"]["threads"],
            }
        ),
        base=subpath(input.base, parent=True),
        models=lambda wildcards: [
            f"{task}={run_folder(wildcards.run, wildcards.seed)}/models/{task}"
            for task in tasks_of(wildcards.run)
        ],
        tokens=[f"{domain}={RESULTS}/tokens/{domain}/test" for domain in EVALUATED],
        tokenizer=subpath(input.tokenizer, parent=True),
    message:
        "Evaluating {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python scripts/evaluate.py --study {params.study:q} --method {wildcards.run:q}"
        " --seed {wildcards.seed} --settings {params.settings:q} --base {params.base:q}"
        " --models {params.models:q} --tokenizer {params.tokenizer:q} --tokens {params.tokens:q}"
        " --output {output:q} > {log:q} 2>&1"


localrules:
    metrics,
    efficiency,
    curves,


rule metrics:
    input:
        evaluations=[
            f"{RESULTS}/evaluation/{run}/seed{seed}.csv" for run, seed in all_runs()
        ],
        code=code("collect.py", "evaluation/collection.py"),
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
        known=KNOWN,
    message:
        "Collecting the metrics"
    shell:
        "python scripts/collect.py metrics --known {params.known:q} --evaluations {input.evaluations:q}"
        " --output {output:q} > {log:q} 2>&1"


rule efficiency:
    input:
        runs=all_files("run.json"),
        code=code("collect.py", "evaluation/collection.py"),
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
        study=config["study"],
    message:
        "Collecting sizes, seconds and memory"
    shell:
        "python scripts/collect.py efficiency --study {params.study:q} --runs {input.runs:q}"
        " --output {output:q} > {log:q} 2>&1"


rule curves:
    input:
        runs=all_files("run.json"),
        logs=all_files("train.jsonl"),
        code=code("collect.py", "evaluation/collection.py"),
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
        study=config["study"],
    message:
        "Collecting the training curves"
    shell:
        "python scripts/collect.py curves --study {params.study:q} --runs {input.runs:q} --logs {input.logs:q}"
        " --output {output:q} > {log:q} 2>&1"
