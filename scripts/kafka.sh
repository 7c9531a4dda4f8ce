#!/usr/bin/env bash
# Kafka for tests: one real broker on this machine, without installing it.
#
#     kafka.sh start DIR       a broker on 127.0.0.1, its files in DIR; returns when it answers;
#                              DIR/port says where (NETCRAB_KAFKA_PORT chooses; default: a free one),
#                              DIR/sasl_port says where it takes SCRAM-SHA-256 over TLS: user netcrab,
#                              password netcrab-secret, certificate authority DIR/ca.pem.
#                              A start in the same DIR keeps its ports and its data
#     kafka.sh stop DIR        ends that broker and no other; its data remain
#     kafka.sh path            prints the folder of its jars
#
# The jars come from Maven Central at the versions pinned below, and are cached outside the tree.
set -euo pipefail
. "$(dirname "$0")/server.sh"

version=4.1.1
logging=2.24.3
cache="${NETCRAB_CACHE:-$HOME/.cache/netcrab}/kafka/$version"
jars="$cache/lib"

install() {
    [ -e "$cache/.complete" ] && return
    local missing=()
    command -v java >/dev/null || missing+=(java)
    command -v mvn >/dev/null || missing+=(mvn)
    if [ ${#missing[@]} -gt 0 ]; then
        echo "${missing[*]} missing, and Kafka needs it; install Java 17 or later and Maven, then run this again" >&2
        return 1
    fi
    mkdir -p "$cache"
    # Two callers at once: the second waits, then finds it complete.
    exec 9>"$cache.lock"
    flock 9
    [ -e "$cache/.complete" ] && return
    local scratch
    scratch="$(mktemp -d "$cache/install.XXXXXX")"
    # Kafka's own dependencies have no logging.
    cat >"$scratch/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>netcrab</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$logging</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>$logging</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-1.2-api</artifactId><version>$logging</version></dependency>
  </dependencies>
</project>
XML
    echo "fetching Kafka, once" >&2
    mvn -q -B -f "$scratch/pom.xml" -Dmaven.repo.local="$scratch/repository" \
        dependency:copy-dependencies -DoutputDirectory="$scratch/lib" 9>&- >&2
    rm -rf "$jars"
    mv "$scratch/lib" "$jars"
    rm -r "$scratch"
    touch "$cache/.complete"
}

# certificate DIR: a key and a certificate for 127.0.0.1 that the broker presents, and ca.pem to trust it.
certificate() {
    keytool -genkeypair -alias broker -keyalg RSA -keysize 2048 -validity 3650 -dname CN=127.0.0.1 \
        -ext san=ip:127.0.0.1,dns:localhost -storetype PKCS12 -keystore "$1/broker.p12" -storepass netcrab-secret 2>/dev/null
    keytool -exportcert -rfc -alias broker -keystore "$1/broker.p12" -storepass netcrab-secret >"$1/ca.pem" 2>/dev/null
}

# answers PORT: succeeds where something listens on PORT.
answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

start() {
    local directory port sasl controller
    mkdir -p "$1"
    directory="$(cd "$1" && pwd)"
    runs_already "$directory" kafka && return
    if [ ! -e "$directory/server.properties" ]; then
        port="${NETCRAB_KAFKA_PORT:-$(free_port)}"
        sasl="$(free_port)"
        controller="$(free_port)"
        certificate "$directory"
        cat >"$directory/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,SASL_SSL://127.0.0.1:$sasl,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port,SASL_SSL://127.0.0.1:$sasl
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.location=$directory/broker.p12
ssl.keystore.password=netcrab-secret
ssl.keystore.type=PKCS12
log.dirs=$directory/data
num.partitions=1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
PROPERTIES
        cat >"$directory/log4j2.xml" <<'XML'
<Configuration status="warn">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
XML
        java -Xmx128m -Dlog4j2.configurationFile="$directory/log4j2.xml" -cp "$jars/*" kafka.tools.StorageTool \
            format -t netcrabnetcrabnetcraQ -c "$directory/server.properties" \
            --add-scram 'SCRAM-SHA-256=[name=netcrab,password=netcrab-secret]' >"$directory/format" 2>&1 || {
            cat "$directory/format" >&2
            return 1
        }
        echo "$port" >"$directory/port"
        echo "$sasl" >"$directory/sasl_port"
    fi
    port="$(cat "$directory/port")"
    setsid java -Xmx512m -XX:+UseSerialGC -Dlog4j2.configurationFile="$directory/log4j2.xml" -cp "$jars/*" \
        kafka.Kafka "$directory/server.properties" </dev/null >"$directory/stdout" 2>"$directory/stderr" 9>&- &
    echo "$!" >"$directory/pid"
    for _ in $(seq 600); do
        answers "$port" && return
        kill -0 "$(cat "$directory/pid")" 2>/dev/null || break
        sleep 0.1
    done
    echo "kafka did not start; see $directory/stdout" >&2
    tail -20 "$directory/stdout" "$directory/stderr" >&2
    stop "$directory"
    return 1
}

stop() {
    # Its port files remain: the next broker on this data takes the same ports.
    stop_server "$1" "$(command -v java)"
}

command="${1:-}"
shift || usage
case "$command" in
    start) [ $# = 1 ] || usage; install; start "$1" ;;
    stop) [ $# = 1 ] || usage; stop "$1" ;;
    path) install; echo "$jars" ;;
    *) usage ;;
esac
