# The HTML page of a study: results, figures, claims, runs and curves in one file.
localrules:
    html,


# What the page reads: the tables of claims, and trivial models beside them.
SHOWN = {name: path for name, path in READ.items() if name in (*CLAIMABLE, "baselines")}


rule html:
    input:
        tables=SHOWN.values(),
        claims=LEDGER,
        figures=expand(
            f"{RESULTS}/figures/{{name}}.{{kind}}", name=FIGURES, kind=("svg", "png")
        ),
        data=[f"{RESULTS}/tables/{name}.csv" for name in TABLE_NAMES],
        template="paper/html/page.html.j2",
        style="paper/html/page.css",
        script="paper/html/page.js",
        paper="paper/paper.typ.j2",
        sections=sorted(
            str(path.relative_to(workflow.basedir))
            for path in Path(workflow.basedir, "paper/sections").glob("*.typ.j2")
        ),
        citation="CITATION.cff",
    output:
        report(
            f"{RESULTS}/index.html",
            caption="../paper/captions/page.rst",
            category="Runs and corpora",
        ),
    log:
        f"{LOGS}/html.log",
    benchmark:
        f"{BENCHMARKS}/html.tsv"
    conda:
        environment("paper")
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        tables=[f"--{name}={path}" for name, path in SHOWN.items()],
        notebooks=as_json(NOTEBOOKS),
        file=SETTINGS_FILES.add("notebooks.json", lambda: as_json(NOTEBOOKS)),
        figures=lambda wildcards, input: str(Path(input.figures[0]).parent),
        table_folder=lambda wildcards, input: str(Path(input.data[0]).parent),
        code=presenting("render_page.py"),
    message:
        "Writing the HTML page"
    shell:
        "python scripts/render_page.py {params.tables:q} --claims {input.claims:q}"
        " --figures {params.figures:q} --tables {params.table_folder:q}"
        " --notebooks {params.file:q} --template {input.template:q}"
        " --paper {input.paper:q} --citation {input.citation:q}"
        " --output {output:q} > {log:q} 2>&1"
