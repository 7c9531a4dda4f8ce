//! What all clients of the cluster have in common: they remember what went wrong last, and an error says it.

use std::sync::{Arc, Mutex};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tracing::{debug, warn};

use super::settings::Settings;
use crate::{Error, locked};

/// The last thing that a client complained of; kept short.
#[derive(Debug, Clone, Default)]
pub(crate) struct Complaint(Arc<Mutex<String>>);

impl Complaint {
    fn set(&self, text: &str) {
        *locked(&self.0) = text.chars().take(300).collect();
    }

    fn get(&self) -> String {
        locked(&self.0).clone()
    }
}

impl ClientContext for Complaint {
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

/// What a failure of `what` means to the one who asked.
pub(crate) fn fault(settings: &Settings, complaint: &Complaint, what: &'static str, fault: KafkaError) -> Error {
    let servers = settings.servers.clone();
    let cause = match complaint.get() {
        heard if heard.is_empty() => fault.to_string(),
        heard => format!("{fault}: {heard}"),
    };
    let mend = match fault.rdkafka_error_code() {
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => "set `security` to what it asks for",
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            "give the user rights on the topics and the group"
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            "make the topic, or correct its name"
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
