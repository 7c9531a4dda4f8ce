//! Settings of generated traffic.

use jiff::civil::Date;

use crate::Error;

/// What traffic to generate.
#[derive(Debug, Clone)]
pub struct GenerateSettings {
    /// Seed of the random numbers. The same seed and settings give the same events. Default: 1.
    pub seed: u64,
    /// Number of organisations. Default: 3.
    pub orgs: u16,
    /// Number of products of each organisation. Default: 2.
    pub products_per_org: u16,
    /// First day, UTC, from 2000 to 2094. Default: 2026-10-01.
    pub from: Date,
    /// Number of days, at least 1. Default: 30.
    pub days: u16,
    /// Number of events, repeats included. Default: 1_000_000.
    pub events: u64,
    /// Rows of a batch, at least 1. Default: 8192.
    pub batch_rows: usize,
}

impl Default for GenerateSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            orgs: 3,
            products_per_org: 2,
            from: jiff::civil::date(2026, 10, 1),
            days: 30,
            events: 1_000_000,
            batch_rows: 8192,
        }
    }
}

impl GenerateSettings {
    /// Checks that the settings are within their bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] names the first setting that is out of its bounds.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |setting, found: String, expected| Err(Error::Setting { setting, found, expected });
        if self.orgs == 0
            || self.products_per_org == 0
            || u32::from(self.orgs) * u32::from(self.products_per_org) > 20_000
        {
            return refuse("orgs", format!("{} × {}", self.orgs, self.products_per_org), "1 to 20000 products in all");
        }
        if self.days == 0 {
            return refuse("days", "0".to_owned(), "1 or more");
        }
        if !(2000..2095).contains(&self.from.year()) {
            return refuse("from", self.from.to_string(), "a date from 2000 to 2094");
        }
        if self.batch_rows == 0 {
            return refuse("batch_rows", "0".to_owned(), "1 or more");
        }
        Ok(())
    }
}
