//! Screens of different products, brought to common step types.
//!
//!     "lead-detail", "TicketView", "contacts.show" ─▶ detail
//!
//! A screen's name is cut into words (at every change of case and at whatever is neither letter nor digit) and the
//! first step type that has one of its words is the screen's; one without any is a `page`. The words are public and
//! the same for all, so that an archetype tells nothing of the names that a product uses.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The step types in the order in which they are looked for, and their words.
pub const STEP_TYPES: [(&str, &[&str]); 12] = [
    ("sign in", &["login", "signin", "sign", "auth", "password", "otp", "mfa", "sso", "register", "signup"]),
    ("search", &["search", "find", "filter", "lookup", "query"]),
    ("create", &["new", "create", "add", "compose", "draft", "wizard"]),
    ("edit", &["edit", "update", "form", "rename", "assign", "merge", "change"]),
    ("confirm", &["confirm", "review", "approve", "approval", "summary", "success", "done", "thanks"]),
    ("pay", &["pay", "payment", "checkout", "cart", "billing", "invoice", "order", "orders", "quote"]),
    ("report", &["report", "reports", "dashboard", "analytics", "chart", "charts", "insights", "stats", "forecast"]),
    ("message", &["message", "messages", "inbox", "chat", "mail", "email", "comment", "comments", "reply", "thread"]),
    ("file", &["file", "files", "upload", "import", "export", "attachment", "attachments", "document", "documents"]),
    ("settings", &["settings", "setting", "config", "preferences", "profile", "account", "admin", "users", "roles"]),
    ("detail", &["detail", "details", "view", "show", "item", "record", "card", "ticket", "lead", "contact", "deal"]),
    (
        "list",
        &[
            "list", "index", "all", "browse", "table", "board", "queue", "pipeline", "leads", "tickets", "contacts",
            "deals", "home", "catalog",
        ],
    ),
];

/// The step type of a screen.
pub fn step_type(screen: &str) -> &'static str {
    let words = words(screen);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    STEP_TYPES.iter().find(|(_, known)| has(known)).map_or("page", |(name, _)| name)
}

fn words(screen: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for letter in screen.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        lower_before = letter.is_lowercase();
    }
    words
}

/// `step_type(screen_id)` in SQL.
pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(StepType { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct StepType {
    signature: Signature,
}

impl ScalarUDFImpl for StepType {
    fn name(&self) -> &str {
        "step_type"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let screens = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(screens) = screens.first() else {
            return Ok(ColumnarValue::Array(Arc::new(StringArray::new_null(0))));
        };
        let screens = cast(screens, &DataType::Utf8)?;
        let steps: StringArray = screens.as_string::<i32>().iter().map(|screen| screen.map(step_type)).collect();
        Ok(ColumnarValue::Array(Arc::new(steps)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_of_different_products_come_to_the_same_steps() {
        for (screen, step) in [
            ("lead-detail", "detail"),
            ("TicketView", "detail"),
            ("contacts.show", "detail"),
            ("leads", "list"),
            ("ticket_new", "create"),
            ("CreateTicketForm", "create"),
            ("global.search", "search"),
            ("deals/board", "list"),
            ("xyz", "page"),
            ("", "page"),
            ("Übersicht", "page"),
        ] {
            assert_eq!(step_type(screen), step, "{screen}");
        }
    }
}
