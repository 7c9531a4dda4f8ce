//! Screens of different products, mapped to common step types.
//!
//!     "lead-detail", "TicketView", "contacts.show" ─▶ detail
//!
//! The name of a screen is cut into words: before each upper-case letter that follows a lower-case one, and at every
//! character that is neither a letter nor a digit. The first step type with one of these words is the screen's type; a
//! screen without such a word is a `page`. The words are public and the same for all products, so an archetype reveals
//! no name that a product uses.

/// The step types with their words; the first match counts.
const STEP_TYPES: [(&str, &[&str]); 12] = [
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

/// The step type of a screen as an index of [`STEP_TYPES`]; their number for a page.
pub(crate) fn step_number(screen: &str) -> usize {
    let words = words(screen);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    STEP_TYPES.iter().position(|(_, known)| has(known)).unwrap_or(STEP_TYPES.len())
}

/// The name of a step type.
pub(crate) fn step_name(number: usize) -> &'static str {
    STEP_TYPES.get(number).map_or("page", |(name, _)| name)
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
            assert_eq!(step_name(step_number(screen)), step, "{screen}");
        }
    }
}
