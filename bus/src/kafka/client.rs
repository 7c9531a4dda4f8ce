//! What all clients of the cluster share: they remember their last problem, for the text of errors.

use std::sync::{Arc, Mutex};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tracing::{debug, warn};

use super::settings::KafkaSettings;
use crate::{Error, locked};

/// The last problem that a client logged, at most 300 characters.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastProblem(Arc<Mutex<String>>);

impl LastProblem {
    fn set(&self, text: &str) {
        *locked(&self.0) = text.chars().take(300).collect();
    }

    fn get(&self) -> String {
        locked(&self.0).clone()
    }
}

impl ClientContext for LastProblem {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                self.set(message);
                warn!(facility, message, "kafka");
            }
            _ => debug!(facility, message, "kafka"),
        }
    }

    fn error(&self, fault: KafkaError, reason: &str) {
        self.set(reason);
        warn!(reason, %fault, "kafka");
    }
}

/// The error of the bus for a failure of `what`.
pub(crate) fn fault(
    settings: &KafkaSettings,
    last_problem: &LastProblem,
    what: &'static str,
    fault: KafkaError,
) -> Error {
    let servers = settings.servers.clone();
    let cause = match last_problem.get() {
        heard if heard.is_empty() => fault.to_string(),
        heard => format!("{fault}: {heard}"),
    };
    let mend = match fault.rdkafka_error_code() {
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => "set `security` to what it asks for",
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            "give the user rights on the topics and the group"
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            "create the topic, or correct its name"
        }
        Some(Code::Fatal) => "restart",
        Some(Code::MessageSizeTooLarge) => "raise the topic's `max.message.bytes`, or lower `record_bytes_max`",
        _ if matches!(fault, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_)) => {
            "correct `security` or `properties`"
        }
        _ => return Error::Unavailable { what, servers, cause, retry_after: settings.retry_after() },
    };
    Error::Refused { what, servers, cause, mend }
}
