# Downstream tasks: their items, prepared from pinned files, and the tables of what models reach.
# Models answer them where they are evaluated (evaluation.smk), while they are in memory.
if TASKS:

    localrules:
        tasks,

    rule task:
        input:
            lambda wildcards: f"{DOWNLOADS}/{TASKS[wildcards.task].data.source}/fetched.json",
        output:
            directory(f"{RESULTS}/tasks/{{task}}"),
        log:
            f"{LOGS}/tasks/{{task}}.log",
        benchmark:
            f"{BENCHMARKS}/tasks/{{task}}.tsv"
        conda:
            environment("corpora")
        wildcard_constraints:
            task="|".join(TASKS),
        threads: 1
        resources:
            mem_mb=1000,
            runtime=20,
        params:
            code=code("prepare_task.py"),
            settings=lambda wildcards: as_json(
                {
                    "definition": TASKS[wildcards.task].model_dump(exclude_defaults=True),
                    "seed": config["evaluation"].get("task_seed", 0),
                    "limit": config["evaluation"].get("task_items"),
                }
            ),
        message:
            "Preparing the task {wildcards.task}"
        shell:
            "python scripts/prepare_task.py --name {wildcards.task:q} --fetched {input:q}"
            " --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"

    rule tasks:
        input:
            evaluations=[
                f"{RESULTS}/evaluation/{run}/seed{seed}.tasks.csv"
                for run, seed in all_runs()
            ],
            tasks=TASK_FOLDERS,
        output:
            TABLES["tasks"],
        log:
            f"{LOGS}/tasks.log",
        benchmark:
            f"{BENCHMARKS}/tasks.tsv"
        conda:
            environment("paper")
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            code=code("tabulate_tasks.py", *metrics.modules_of(TaskMetric)),
            study=config["study"],
        message:
            "Collecting the scores of downstream tasks"
        shell:
            "python scripts/tabulate_tasks.py scores --study {params.study:q} --tasks {input.tasks:q}"
            " --evaluations {input.evaluations:q} --output {output:q} > {log:q} 2>&1"

    # Whatever a run is trained on: the base model's text, and that of all tasks of the sequence.
    rule task_data:
        input:
            tasks=TASK_FOLDERS,
            corpora=[
                f"{RESULTS}/corpora/{domain}/train.jsonl" for domain in TRAINED_DOMAINS
            ],
        output:
            TABLES["task_data"],
        log:
            f"{LOGS}/task_data.log",
        benchmark:
            f"{BENCHMARKS}/task_data.tsv"
        conda:
            environment("corpora")
        threads: 1
        resources:
            **on_cluster("task_data", mem_mb=4000, runtime=120),
        params:
            code=code("tabulate_tasks.py", *metrics.modules_of(TaskMetric)),
            study=config["study"],
            corpora=lambda wildcards, input: [
                f"{domain}={path}"
                for domain, path in zip(TRAINED_DOMAINS, input.corpora)
            ],
        message:
            "Looking for the items of downstream tasks in training text"
        shell:
            "python scripts/tabulate_tasks.py data --study {params.study:q} --tasks {input.tasks:q}"
            " --corpora {params.corpora:q} --output {output:q} > {log:q} 2>&1"
