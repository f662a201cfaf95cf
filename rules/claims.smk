# The verdicts on published claims: cheap, so they follow every change of the tables.
localrules:
    claims,


rule claims:
    input:
        claims=CLAIMS,
        tables=CLAIMABLE.values(),
    output:
        LEDGER,
    log:
        f"{LOGS}/claims.log",
    benchmark:
        f"{BENCHMARKS}/claims.tsv"
    conda:
        environment("paper")
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        tables=[f"--{name}={path}" for name, path in CLAIMABLE.items()],
        domains=sorted(CATALOGUE["domains"]),
        unmet=PUBLISHED.unmet(config),
        code=presenting("judge_claims.py"),
    message:
        "Judging the published claims"
    shell:
        "python scripts/judge_claims.py --claims {input.claims:q} {params.tables:q}"
        " --domains {params.domains:q} --unmet {params.unmet:q} --output {output:q} > {log:q} 2>&1"
