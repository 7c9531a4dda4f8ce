//! Settings of the Kafka bus.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use serde::Deserialize;

use crate::{Error, Results};

/// Settings of the Kafka bus; table `[bus.kafka]` of `netcrab.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// Where to find the cluster: `host:port`, several with commas. Default: `127.0.0.1:9092`.
    pub servers: String,
    /// The topic of accepted events. Default: `events.raw`. Kafka deletes by the topic's own retention, whether events
    /// were read or not: set it longer than the pipeline ever stands still.
    pub topic: String,
    /// How many partitions `topic` has; they are the shards. Default: 8. A topic that does not exist is created with so
    /// many. A topic with another number is refused, because session keys would change their shard.
    pub shards: u32,
    /// The consumer group of those who work on the shards. Default: `netcrab`.
    pub group: String,
    /// Where the events of closed sessions go. Default: empty, nowhere; by convention `events.sessionized`.
    pub sessionized: String,
    /// Where incidents go. Default: empty, nowhere; by convention `events.incidents`.
    pub incidents: String,
    /// Where facts go. Default: empty, nowhere; by convention `events.analytics`.
    pub analytics: String,
    /// How to log in and whether to encrypt. Default: neither.
    pub security: Security,
    /// Most bytes that may wait to be sent. Default: 67_108_864 (64 MiB), at most 2 TiB, counted in KiB.
    /// Beyond it appending is refused with `Full`.
    pub queue_bytes_max: u64,
    /// Longest record, in bytes. Default: 1_048_576 (1 MiB). A longer event is refused with `TooLarge`;
    /// the topic's `max.message.bytes` must allow it.
    pub record_bytes_max: u32,
    /// Events of one batch that is read. Default: 8192.
    pub batch_rows: usize,
    /// How long a request may take in all, repeats included, in ms. Default: 30_000. Then the error is `Unavailable`.
    pub timeout_ms: u64,
    /// How long a refused sender is told to wait, in ms. Default: 1_000.
    pub retry_after_ms: u64,
    /// How often to look for new events, in ms. Default: 100.
    pub poll_ms: u64,
    /// How long the owner of a shard has to finish its work when the shard moves to another process, in ms.
    /// Default: 30_000, at most 240_000.
    pub handover_ms: u64,
    /// Connections that read at the same time. Default: 4. More shards than that take turns.
    pub readers_max: usize,
    /// Further properties of librdkafka, by their names there. They take precedence over all of the above. Default: none.
    pub properties: BTreeMap<String, String>,
}

/// How to log in to Kafka and whether to encrypt; table `[bus.kafka.security]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Encrypt, and check the broker's certificate. Default: false.
    pub tls: bool,
    /// How to log in. Default: `none`.
    pub sasl: Sasl,
    /// The user to log in as. Default: empty.
    pub username: String,
    /// Its password. Default: empty.
    pub password: Secret,
    /// The certificates to trust, a PEM file. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// This side's certificate, a PEM file, where the broker asks for one. Default: none.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate, a PEM file. Default: none.
    pub key_file: Option<PathBuf>,
    /// The password of that key. Default: empty.
    pub key_password: Secret,
}

/// How to log in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Sasl {
    /// Not at all, or by certificate.
    #[default]
    #[serde(rename = "none")]
    None,
    /// With the password itself; only sensible with `tls`.
    #[serde(rename = "PLAIN")]
    Plain,
    /// With a proof of the password.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// With a proof of the password, of a longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// A text that `Debug` does not print.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(secret)" })
    }
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            servers: "127.0.0.1:9092".to_owned(),
            topic: "events.raw".to_owned(),
            shards: 8,
            group: "netcrab".to_owned(),
            sessionized: String::new(),
            incidents: String::new(),
            analytics: String::new(),
            security: Security::default(),
            queue_bytes_max: 64 << 20,
            record_bytes_max: 1 << 20,
            batch_rows: 8192,
            timeout_ms: 30_000,
            retry_after_ms: 1000,
            poll_ms: 100,
            handover_ms: 30_000,
            readers_max: 4,
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaSettings {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let within = |setting, found: u64, low: u64, high: u64, expected| match (low..=high).contains(&found) {
            true => Ok(()),
            false => Err(Error::setting(setting, found, expected)),
        };
        within("shards", self.shards.into(), 1, 1024, "1 to 1024")?;
        within("queue_bytes_max", self.queue_bytes_max, 1 << 10, ((1 << 31) - 1) << 10, "1024 (1 KiB) to 2 TiB")?;
        within("record_bytes_max", self.record_bytes_max.into(), 1000, 1_000_000_000, "1000 to 1000000000")?;
        within("batch_rows", self.batch_rows as u64, 1, 1 << 20, "1 to 1048576")?;
        within("timeout_ms", self.timeout_ms, 1000, 900_000, "1000 to 900000 (a quarter of an hour)")?;
        within("retry_after_ms", self.retry_after_ms, 1, 3_600_000, "1 to 3600000 (an hour)")?;
        within("poll_ms", self.poll_ms, 1, 60_000, "1 to 60000 (a minute)")?;
        within("handover_ms", self.handover_ms, 1, 240_000, "1 to 240000 (four minutes)")?;
        within("readers_max", self.readers_max as u64, 1, 256, "1 to 256")?;
        for (setting, text) in [("servers", &self.servers), ("topic", &self.topic), ("group", &self.group)] {
            if text.is_empty() {
                return Err(Error::setting(setting, "empty", "a name"));
            }
        }
        if self.security.sasl != Sasl::None && self.security.username.is_empty() {
            return Err(Error::setting("security.username", "empty", "the user to log in as, since `sasl` is set"));
        }
        Ok(())
    }

    /// The topic of these results; empty where they are not sent.
    pub(crate) fn topic_of(&self, results: Results) -> &str {
        match results {
            Results::Sessionized => &self.sessionized,
            Results::Incidents => &self.incidents,
            Results::Analytics => &self.analytics,
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(crate) fn retry_after(&self) -> Duration {
        Duration::from_millis(self.retry_after_ms)
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    pub(crate) fn handover(&self) -> Duration {
        Duration::from_millis(self.handover_ms)
    }

    /// The properties of a producer.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "zstd")
            .set("linger.ms", "5")
            .set("message.timeout.ms", self.timeout_ms.to_string())
            .set("message.max.bytes", self.record_bytes_max.to_string())
            // No bound in messages: the queue is bounded in bytes.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", (self.queue_bytes_max >> 10).to_string());
        self.with_properties(config)
    }

    /// The properties of a consumer.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // An offset that is no longer retained is an error. The consumer must not jump to another one.
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", "16384");
        self.with_properties(config)
    }

    fn client(&self) -> ClientConfig {
        let security = &self.security;
        let mut config = ClientConfig::new();
        let protocol = match (security.tls, security.sasl) {
            (false, Sasl::None) => "PLAINTEXT",
            (false, _) => "SASL_PLAINTEXT",
            (true, Sasl::None) => "SSL",
            (true, _) => "SASL_SSL",
        };
        config.set("bootstrap.servers", &self.servers).set("client.id", "netcrab").set("security.protocol", protocol);
        // Reconnects within a second after the broker is back; the default is ten.
        config.set("reconnect.backoff.max.ms", "1000");
        let mechanism = match security.sasl {
            Sasl::None => None,
            Sasl::Plain => Some("PLAIN"),
            Sasl::ScramSha256 => Some("SCRAM-SHA-256"),
            Sasl::ScramSha512 => Some("SCRAM-SHA-512"),
        };
        if let Some(mechanism) = mechanism {
            config.set("sasl.mechanism", mechanism);
            config.set("sasl.username", &security.username).set("sasl.password", &security.password.0);
        }
        let files = [
            ("ssl.ca.location", &security.ca_file),
            ("ssl.certificate.location", &security.certificate_file),
            ("ssl.key.location", &security.key_file),
        ];
        for (property, file) in files {
            if let Some(file) = file {
                config.set(property, file.to_string_lossy());
            }
        }
        if !security.key_password.0.is_empty() {
            config.set("ssl.key.password", &security.key_password.0);
        }
        config
    }

    fn with_properties(&self, mut config: ClientConfig) -> ClientConfig {
        for (property, value) in &self.properties {
            config.set(property, value);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let mut settings = KafkaSettings::default();
        settings.security.password = Secret::new("hunter2");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn security_says_the_protocol() {
        let check = |tls, sasl, protocol| {
            let security = Security { tls, sasl, username: "u".to_owned(), ..Security::default() };
            let settings = KafkaSettings { security, ..KafkaSettings::default() };
            assert_eq!(settings.producer().get("security.protocol"), Some(protocol));
        };
        check(false, Sasl::None, "PLAINTEXT");
        check(true, Sasl::None, "SSL");
        check(false, Sasl::Plain, "SASL_PLAINTEXT");
        check(true, Sasl::ScramSha512, "SASL_SSL");
    }

    #[test]
    fn further_properties_win() {
        let properties = BTreeMap::from([("linger.ms".to_owned(), "50".to_owned())]);
        let settings = KafkaSettings { properties, ..KafkaSettings::default() };
        assert_eq!(settings.producer().get("linger.ms"), Some("50"));
    }
}
