# Fronts: every run of a study at each of its rates and strengths, through the whole sequence. Made
# by `snakemake fronts`, in studies with the section of that name.

if FRONTS:

    localrules:
        fronts,

    rule front:
        input:
            model=BASE_MODEL,
            tokenizer=TOKENIZER,
            tokens=token_metas(ADAPTATION_DOMAINS),
            measured=[
                f"{RESULTS}/tokens/{domain}/{split}/meta.json"
                for domain in EVALUATED
                for split in ("validation", "test")
            ],
        output:
            table=f"{RESULTS}/fronts/{{run}}.csv",
            documents=f"{RESULTS}/fronts/{{run}}.parquet",
            choice=f"{RESULTS}/fronts/{{run}}.json",
        log:
            f"{LOGS}/fronts/{{run}}.log",
        benchmark:
            f"{BENCHMARKS}/fronts/{{run}}.tsv"
        conda:
            environment("training")
        threads: lambda wildcards: training_resources(wildcards.run)["threads"]
        resources:
            **on_cluster(
                "front",
                mem_mb=4000,
                runtime=480,
                gpu=lambda wildcards: training_resources(wildcards.run)["gpu"],
            ),
        params:
            code=lambda wildcards: code(
                "front.py",
                *methods_code(wildcards.run),
                *metrics.modules_of(TextMetric),
            ),
            study=config["study"],
            settings=lambda wildcards: front_json(wildcards.run),
            file=SETTINGS_FILES.each("fronts/{run}.json", FRONTS, front_json),
            model=subpath(input.model, parent=True),
            tokens=token_arguments(dict.fromkeys([*ADAPTATION_DOMAINS, *EVALUATED])),
            tokenizer=subpath(input.tokenizer, parent=True),
            checkpoints=lambda wildcards: f"{RESULTS}/checkpoints/fronts/{wildcards.run}",
        message:
            "Training {wildcards.run} at every rate and strength"
        shell:
            "python scripts/front.py --study {params.study:q} --settings {params.file:q}"
            " --model {params.model:q} --tokenizer {params.tokenizer:q}"
            " --tokens {params.tokens:q} --checkpoints {params.checkpoints:q}"
            " --table {output.table:q} --documents {output.documents:q}"
            " --choice {output.choice:q} > {log:q} 2>&1"

    rule fronts:
        input:
            tables=[f"{RESULTS}/fronts/{run}.csv" for run in FRONTS],
        output:
            f"{RESULTS}/fronts.csv",
        log:
            f"{LOGS}/fronts.log",
        benchmark:
            f"{BENCHMARKS}/fronts.tsv"
        conda:
            environment("paper")
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            code=code("collect.py"),
            files=SETTINGS_FILES.add(
                "fronts.txt",
                lambda: settings_files.lines(
                    f"{RESULTS}/fronts/{run}.csv" for run in FRONTS
                ),
            ),
        message:
            "Collecting the fronts"
        shell:
            "python scripts/collect.py fronts --tables @{params.files:q} --output {output:q}"
            " > {log:q} 2>&1"


if "fronts" in READ:

    localrules:
        front_measures,

    # How the fronts compare: computed once, with the bootstrap, for figures, tables and text.
    rule front_measures:
        input:
            fronts=READ["fronts"],
            documents=[
                f"{str(READ['fronts']).removesuffix('.csv')}/{run}.parquet"
                for run in (release["fronts"] if FROM_RELEASE else FRONTS)
            ],
            baselines=[READ["baselines"]] if "baselines" in READ else [],
        output:
            FOLLOWING["front_measures"],
        log:
            f"{LOGS}/front_measures.log",
        benchmark:
            f"{BENCHMARKS}/front_measures.tsv"
        conda:
            environment("paper")
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            code=code("measure_fronts.py"),
            settings=as_json(SETTINGS),
            file=SETTINGS_FILES.add("study.json", lambda: as_json(SETTINGS)),
            baselines=(
                ["--baselines", READ["baselines"]] if "baselines" in READ else []
            ),
            documents=str(READ["fronts"]).removesuffix(".csv"),
        message:
            "Comparing the fronts"
        shell:
            "python scripts/measure_fronts.py --fronts {input.fronts:q}"
            " --documents {params.documents:q} {params.baselines:q}"
            " --settings {params.file:q} --output {output:q} > {log:q} 2>&1"
