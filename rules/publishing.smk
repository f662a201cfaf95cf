# The manifest of a study: what a release, a comparison and the statements of the paper rest on.
localrules:
    manifest,


# Token files of every domain that something is trained or measured on.
STUDY_TOKENS = [
    *token_metas(dict.fromkeys([*runs.base_domains(config), *ADAPTATION_DOMAINS])),
    *(
        f"{RESULTS}/tokens/{domain}/{split}/meta.json"
        for domain in EVALUATED
        # The rule of a front picks its point on validation text of all that it measures.
        for split in (["validation", "test"] if FRONTS else ["test"])
    ),
]


# The script finds runs and evaluations itself: the paths of a thousand runs fit on no command line.
# Nor are they inputs, of which Snakemake looks at each for a while: the tables are made from them.
rule manifest:
    input:
        tables=TABLES.values(),
        tokens=STUDY_TOKENS,
        corpora=[f"{RESULTS}/corpora/{domain}/manifest.json" for domain in DOMAINS],
        tokenizer=TOKENIZER,
    output:
        f"{RESULTS}/{released.MANIFEST}",
    log:
        f"{LOGS}/manifest.log",
    benchmark:
        f"{BENCHMARKS}/manifest.tsv"
    conda:
        environment("paper")
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("write_manifest.py"),
        settings=as_json(SETTINGS),
        file=SETTINGS_FILES.add("study.json", lambda: as_json(SETTINGS)),
        results=subpath(output[0], parent=True),
        tables=list(TABLES),
    message:
        "Writing the manifest of the study"
    shell:
        "python scripts/write_manifest.py --settings {params.file:q}"
        " --results {params.results:q} --tables {params.tables:q} --output {output:q}"
        " > {log:q} 2>&1"


# The text that everything is made from: what a comparison looks at before anything is trained.
rule inputs:
    input:
        STUDY_TOKENS,
        TABLES["corpora"],
