# Figures and tables, one notebook each, and the paper that holds them.
wildcard_constraints:
    figure="|".join(FIGURES),
    table="|".join(TABLE_NAMES),


localrules:
    figure,
    table,
    numbers,
    paper,


rule figure:
    input:
        tables=lambda wildcards: list(notebook_tables(wildcards.figure).values()),
        notebook="notebooks/{figure}.ipynb",
    output:
        pdf=f"{RESULTS}/figures/{{figure}}.pdf",
        svg=report(
            f"{RESULTS}/figures/{{figure}}.svg",
            caption="../paper/captions/notebook.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        png=f"{RESULTS}/figures/{{figure}}.png",
        notebook=f"{RESULTS}/notebooks/{{figure}}.ipynb",
    log:
        f"{LOGS}/figures/{{figure}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/{{figure}}.tsv"
    conda:
        environment("paper")
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=lambda wildcards: notebook_code(wildcards.figure),
        caption=lambda wildcards: NOTEBOOKS[wildcards.figure]["caption"],
        origin=lambda wildcards: figure_origin(wildcards.figure),
        parameters=lambda wildcards: papermill_parameters(
            wildcards.figure, f"{RESULTS}/figures/{wildcards.figure}"
        ),
    message:
        "Drawing the figure {wildcards.figure}"
    shell:
        "JADAPT_ORIGIN={params.origin:q} papermill -k python3 --no-progress-bar"
        " {params.parameters:q} {input.notebook:q} {output.notebook:q} > {log:q} 2>&1"


rule table:
    input:
        tables=lambda wildcards: list(notebook_tables(wildcards.table).values()),
        notebook="notebooks/{table}.ipynb",
    output:
        csv=report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="../paper/captions/notebook.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        tex=f"{RESULTS}/tables/{{table}}.tex",
        notebook=f"{RESULTS}/notebooks/{{table}}.ipynb",
    log:
        f"{LOGS}/tables/{{table}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/{{table}}.tsv"
    conda:
        environment("paper")
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=lambda wildcards: notebook_code(wildcards.table),
        caption=lambda wildcards: NOTEBOOKS[wildcards.table]["caption"],
        parameters=lambda wildcards: papermill_parameters(
            wildcards.table, f"{RESULTS}/tables/{wildcards.table}"
        ),
    message:
        "Making the table {wildcards.table}"
    shell:
        "papermill -k python3 --no-progress-bar {params.parameters:q}"
        " {input.notebook:q} {output.notebook:q} > {log:q} 2>&1"


# Every number that the text and its tables print, by name: `make trace` looks it up.
rule numbers:
    input:
        tables=READ.values(),
        following=FOLLOWING.values(),
        sources=CLAIMS,
        manifest=MANIFEST,
        literature="paper/literature.yaml",
    output:
        NUMBERS,
    log:
        f"{LOGS}/numbers.log",
    benchmark:
        f"{BENCHMARKS}/numbers.tsv"
    conda:
        environment("paper")
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=presenting("compute_numbers.py"),
        settings=as_json(SETTINGS),
        file=SETTINGS_FILES.add("study.json", lambda: as_json(SETTINGS)),
        tables=TABLE_OPTIONS,
        ledger=LEDGER_OPTIONS,
    message:
        "Computing the numbers of the paper"
    shell:
        "python scripts/compute_numbers.py {params.tables:q} {params.ledger:q}"
        " --manifest {input.manifest:q}"
        " --settings {params.file:q} --literature {input.literature:q} --output {output:q}"
        " > {log:q} 2>&1"


rule paper:
    input:
        tables=READ.values(),
        numbers=NUMBERS,
        following=FOLLOWING.values(),
        sources=CLAIMS,
        manifest=MANIFEST,
        figures=[f"{RESULTS}/figures/{name}.svg" for name in FIGURES if in_paper(name)],
        data=[f"{RESULTS}/tables/{name}.csv" for name in TABLE_NAMES if in_paper(name)],
        template="paper/paper.typ.j2",
        sections=sorted(
            str(path.relative_to(workflow.basedir))
            for path in Path(workflow.basedir, "paper/sections").glob("*.typ.j2")
        ),
        style="paper/style.typ.j2",
        bibliography="paper/references.bib",
        literature="paper/literature.yaml",
        citation="CITATION.cff",
    output:
        pdf=report(
            f"{RESULTS}/paper/paper.pdf",
            caption="../paper/captions/paper.rst",
            category="Paper",
        ),
        source=f"{RESULTS}/paper/paper.typ",
    log:
        f"{LOGS}/paper.log",
    benchmark:
        f"{BENCHMARKS}/paper.tsv"
    conda:
        environment("paper")
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=presenting("render_paper.py"),
        settings=as_json(SETTINGS),
        file=SETTINGS_FILES.add("study.json", lambda: as_json(SETTINGS)),
        study=config["study"],
        tables=TABLE_OPTIONS,
        ledger=LEDGER_OPTIONS,
        notebooks=as_json(NOTEBOOKS),
        captions=SETTINGS_FILES.add("notebooks.json", lambda: as_json(NOTEBOOKS)),
        figures=lambda wildcards, input: str(Path(input.figures[0]).parent),
        table_folder=lambda wildcards, input: str(Path(input.data[0]).parent),
    message:
        "Setting the paper"
    shell:
        "python scripts/render_paper.py --study {params.study:q} {params.tables:q}"
        " --numbers {input.numbers:q}"
        " {params.ledger:q} --manifest {input.manifest:q}"
        " --figures {params.figures:q} --tables {params.table_folder:q}"
        " --settings {params.file:q} --notebooks {params.captions:q}"
        " --citation {input.citation:q} --template {input.template:q}"
        " --bibliography {input.bibliography:q} --literature {input.literature:q}"
        " --output {output.pdf:q} > {log:q} 2>&1"


# A name for each figure and table: `snakemake --cores 2 fig_convergence`.
for _name in FIGURES:

    rule:
        name:
            f"fig_{_name}"
        input:
            expand(rules.figure.output, figure=_name),


for _name in TABLE_NAMES:

    rule:
        name:
            f"table_{_name}"
        input:
            expand(rules.table.output, table=_name),
