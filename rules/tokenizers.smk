# The tokenizer, trained on training splits only, and the token files made with it.
TOKENIZER_DOMAINS = runs.tokenizer_domains(config["tokenizer"])


rule tokenizer:
    input:
        corpora=[
            f"{RESULTS}/corpora/{domain}/train.jsonl" for domain in TOKENIZER_DOMAINS
        ],
        fetched=fetched_models(config["tokenizer"]),
    output:
        model=TOKENIZER,
        meta=TOKENIZER_META,
    log:
        f"{LOGS}/tokenizer.log",
    benchmark:
        f"{BENCHMARKS}/tokenizer.tsv"
    conda:
        environment("corpora")
    threads: 2
    resources:
        **on_cluster("tokenizer", mem_mb=4000, runtime=30),
    params:
        code=code("train_tokenizer.py"),
        settings=as_json(config["tokenizer"]),
        corpora=lambda wildcards, input: [
            word
            for domain, path in zip(TOKENIZER_DOMAINS, input.corpora)
            for word in ("--corpus", f"{domain}:{text_language(domain)}={path}")
        ],
        models=as_json(
            {
                name: MODELS["models"][name]
                for name in runs.pretrained_models(config["tokenizer"])
            }
        ),
        fetched=lambda wildcards, input: [
            word
            for path in input.fetched
            for word in ("--fetched", f"{Path(path).parent.name}={path}")
        ],
        folder=subpath(output.model, parent=True),
    message:
        "Training the tokenizer"
    shell:
        "python scripts/train_tokenizer.py --settings {params.settings:q} {params.corpora:q}"
        " --models {params.models:q} {params.fetched:q} --output {params.folder:q}"
        " > {log:q} 2>&1"


rule tokens:
    input:
        tokenizer=TOKENIZER,
        meta=TOKENIZER_META,
        corpus=f"{RESULTS}/corpora/{{domain}}/{{split}}.jsonl",
    output:
        tokens=f"{RESULTS}/tokens/{{domain}}/{{split}}/tokens.bin",
        offsets=f"{RESULTS}/tokens/{{domain}}/{{split}}/offsets.bin",
        sizes=f"{RESULTS}/tokens/{{domain}}/{{split}}/sizes.bin",
        meta=f"{RESULTS}/tokens/{{domain}}/{{split}}/meta.json",
    log:
        f"{LOGS}/tokens/{{domain}}/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/tokens/{{domain}}/{{split}}.tsv"
    conda:
        environment("corpora")
    threads: 1
    resources:
        **on_cluster("tokens", mem_mb=1000, runtime=60),
    params:
        code=code("encode.py"),
        folder=subpath(output.meta, parent=True),
        tokenizer=subpath(input.tokenizer, parent=True),
        language=lambda wildcards: text_language(wildcards.domain),
    message:
        "Encoding {wildcards.domain}, {wildcards.split}"
    shell:
        "python scripts/encode.py --tokenizer {params.tokenizer:q} --corpus {input.corpus:q}"
        " --language {params.language:q} --output {params.folder:q} --workers {threads}"
        " > {log:q} 2>&1"
