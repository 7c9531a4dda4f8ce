"""Every recipe of docs/analysts.md runs and gives the same rows."""

import json
import pathlib
import re
import shlex

import pytest

PAGE = (pathlib.Path(__file__).parents[3] / "docs" / "analysts.md").read_text()


def block(client, language):
    """The code below the heading of a client."""
    section = PAGE.split(f"\n## {client}\n")[1].split("\n## ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return found[0]


def rows(answer):
    """The rows of an answer as tuples, whatever client gave it."""
    for method in ("fetchall", "rows", "collect"):
        if hasattr(answer, method):
            return [tuple(row) for row in getattr(answer, method)()]
    return [tuple(row.values()) for row in answer.to_pylist()]


@pytest.fixture(scope="module")
def expected(netcrab, tables):
    program, *arguments = shlex.split(block("netcrab", "sh"))
    assert program == "netcrab"
    arguments[arguments.index("tables")] = tables
    answer = [json.loads(line) for line in netcrab("--json", *arguments).splitlines()]
    worst = [(row["screen_id"], row["rage_clicks"]) for row in answer]
    assert len(worst) == 3 and worst[0][1] >= worst[2][1] > 0
    return worst


@pytest.mark.parametrize("client", ["DuckDB", "Polars", "pyarrow", "Spark"])
def test_each_recipe_gives_the_same_rows(spark, tables, expected, client):
    # Spark's recipe gets the session of the tests, because a process has one.
    recipe = block(client, "python").replace('"tables/', f'"{tables}/')
    names = {}
    exec(compile(recipe, f"{client} in docs/analysts.md", "exec"), names)
    assert rows(names["worst"]) == expected


def test_every_recipe_is_run():
    clients = re.findall(r"^## (.*)\n(?:(?!^## ).*\n)*?```", PAGE, re.MULTILINE)
    assert clients == ["netcrab", "DuckDB", "Polars", "pyarrow", "Spark"]


def test_the_recipe_for_spark_names_the_versions_that_are_tested(spark):
    delta = re.search(r"delta-spark_[\d.]+-([\d.]+)\.jar", spark.conf.get("spark.jars"))[1]
    assert f"pyspark=={spark.version}`" in PAGE
    assert f'"io.delta:delta-spark_2.13:{delta}"' in block("Spark", "python")
