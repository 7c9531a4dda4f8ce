//! Settings of the privacy checks.

use serde::Deserialize;

/// Settings of the privacy checks; table `[sources.privacy]` of `netcrab.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrivacySettings {
    /// Keys that are refused at the top level, in `extra` and as columns. An entry refuses every key that contains
    /// its words: `phone` refuses `phone_number` and `userPhone`, but not `iphone`. An entry with `=` in front
    /// refuses only the whole key: `=name` refuses `name`, but not `screen_name`. Case and `_ - .` do not matter.
    /// Default: [`DENIED_KEYS`].
    pub denied_keys: Vec<String>,
    /// Refuse values that look like an e-mail address, a card number or a JWT. Default: true.
    pub check_values: bool,
}

/// The default of [`PrivacySettings::denied_keys`].
pub const DENIED_KEYS: &[&str] = &[
    "email",
    "mail",
    "=name",
    "=username",
    "user_name",
    "first_name",
    "firstname",
    "last_name",
    "lastname",
    "full_name",
    "fullname",
    "surname",
    "given_name",
    "family_name",
    "maiden_name",
    "phone",
    "phonenumber",
    "telephone",
    "mobile_number",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "pin_code",
    "token",
    "secret",
    "credential",
    "credentials",
    "jwt",
    "cookie",
    "authorization",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "ssn",
    "social_security",
    "national_id",
    "passport",
    "tax_id",
    "iban",
    "bic",
    "credit_card",
    "creditcard",
    "card_number",
    "cardnumber",
    "cvv",
    "cvc",
    "birth_date",
    "birthdate",
    "birthday",
    "date_of_birth",
    "dob",
    "street",
    "=address",
    "street_address",
    "home_address",
    "postal_address",
    "zip_code",
    "=ip",
    "ip_address",
    "remote_addr",
    "latitude",
    "longitude",
];

impl Default for PrivacySettings {
    fn default() -> Self {
        Self { denied_keys: DENIED_KEYS.iter().map(|key| (*key).to_owned()).collect(), check_values: true }
    }
}
