#!/usr/bin/env bash
# Spark for tests, without installing it.
#
#     spark.sh path        prints a folder: `python` in it holds pyspark, which brings Spark itself; `jars` holds
#                          what Spark needs to read Delta tables
#
# pyspark comes from PyPI and Delta from Maven Central, at the versions pinned below. Together they are 450 MB
# to fetch, once. They are cached outside the tree.
set -euo pipefail
. "$(dirname "$0")/server.sh"

# Delta 4.0.0 is built for Spark 4.0 and Scala 2.13.
version=4.0.1
delta=4.0.0
# From Java 23 on, Hadoop in Spark 4.0 fails at its start (HADOOP-19212).
java_min=17
java_max=22
cache="${NETCRAB_CACHE:-$HOME/.cache/netcrab}/spark/$version-delta-$delta"

# require_programs: fails where Java or Maven is missing, or Spark does not run on this Java.
require_programs() {
    local missing=() java
    command -v java >/dev/null || missing+=(java)
    command -v mvn >/dev/null || missing+=(mvn)
    if [ ${#missing[@]} -gt 0 ]; then
        echo "${missing[*]} missing, and Spark needs it; install Java $java_min or 21 and Maven, then run this again" >&2
        return 1
    fi
    java="$(java -XshowSettings:properties -version 2>&1 | sed -n 's/.*java.specification.version = //p')"
    if [ "${java%%.*}" -lt "$java_min" ] || [ "${java%%.*}" -gt "$java_max" ]; then
        echo "Spark runs on Java $java_min to $java_max, and this is Java $java; put one of those first in PATH, then run this again" >&2
        return 1
    fi
}

# fetch_pyspark DIR: pyspark and its dependency, importable from DIR.
fetch_pyspark() {
    local python
    python="$("$(dirname "$0")/python.sh")"
    # PyPI has pyspark as source only. Keeping what pip builds would double the space.
    "$python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        --no-binary pyspark --target "$1" "pyspark==$version" >&2
}

# fetch_delta DIR SCRATCH: the jars of Delta in DIR; those of Spark itself are pyspark's.
fetch_delta() {
    cat >"$2/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>netcrab</groupId><artifactId>spark</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>io.delta</groupId><artifactId>delta-spark_2.13</artifactId><version>$delta</version></dependency>
  </dependencies>
</project>
XML
    mvn -q -B -f "$2/pom.xml" -Dmaven.repo.local="$2/repository" dependency:copy-dependencies \
        -DincludeGroupIds=io.delta,org.antlr -DoutputDirectory="$1" >&2
}

install() {
    [ -e "$cache/.complete" ] && return
    require_programs
    mkdir -p "$cache"
    # Two callers at once: the second waits, then finds it complete.
    exec 9>"$cache.lock"
    flock 9
    [ -e "$cache/.complete" ] && return
    local scratch
    scratch="$(mktemp -d "$cache/install.XXXXXX")"
    echo "fetching Spark, once (450 MB)" >&2
    TMPDIR="$scratch" fetch_pyspark "$scratch/python" 9>&-
    fetch_delta "$scratch/jars" "$scratch" 9>&-
    rm -rf "$cache/python" "$cache/jars"
    mv "$scratch/python" "$scratch/jars" "$cache"
    rm -r "$scratch"
    touch "$cache/.complete"
}

command="${1:-}"
shift || usage
case "$command" in
    path) [ $# = 0 ] || usage; install; echo "$cache" ;;
    *) usage ;;
esac
